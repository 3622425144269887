# Weir alone: it serves an Envoy that runs beside it (see compose.yaml). The
# binary is static; the image holds it, the CA certificates, and nothing else.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -ldflags='-s -w' -o /out/weir ./cmd/weir \
 && mkdir -p /out/run/weir /out/etc/weir

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/weir /usr/local/bin/weir
# Owned by the user, so that a volume mounted over it is, too.
COPY --from=build --chown=65532:65532 /out/run/weir /run/weir
COPY --from=build --chown=65532:65532 /out/etc/weir /etc/weir
USER 65532:65532
VOLUME /run/weir
EXPOSE 8081
ENTRYPOINT ["/usr/local/bin/weir"]
CMD ["serve", "-c", "/etc/weir/weir.yaml", "--socket", "/run/weir/weir.sock", "--admin", "0.0.0.0:8081"]
