package accesslog

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"weir/internal/protofield"
)

// registerPresence adds opentelemetry.proto.collector.logs.v1.LogsService, which
// receives metadata.PresenceLog.
func (r *Receiver) registerPresence(s grpc.ServiceRegistrar) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.logs.v1.LogsService",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Export",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				if err := decode(presence{r}); err != nil {
					return nil, err
				}
				return &emptypb.Empty{}, nil // an ExportLogsServiceResponse without partial_success
			},
		}},
		Metadata: "opentelemetry/proto/collector/logs/v1/logs_service.proto",
	}, r)
}

// presence reads an ExportLogsServiceRequest and passes its entries to the receiver.
type presence struct{ receiver *Receiver }

// ReadMessage reads the body of each log record, a string. It retains none of the
// bytes.
func (p presence) ReadMessage(b []byte) error {
	resources := protofield.Fields{Rest: b}
	for resources.Next() {
		if !resources.Is(exportResourceLogs, protowire.BytesType) {
			continue
		}
		for scopes := fields(resources.Bytes); scopes.Next(); {
			if !scopes.Is(resourceScopeLogs, protowire.BytesType) {
				continue
			}
			for records := fields(scopes.Bytes); records.Next(); {
				if records.Is(scopeLogRecords, protowire.BytesType) {
					p.record(records.Bytes)
				}
			}
		}
	}
	return resources.Err
}

func (p presence) record(b []byte) {
	for f := fields(b); f.Next(); {
		if !f.Is(recordBody, protowire.BytesType) {
			continue
		}
		for value := fields(f.Bytes); value.Next(); {
			if value.Is(bodyString, protowire.BytesType) {
				if e, ok := readPresence(string(value.Bytes)); ok {
					p.receiver.follow(&e)
				}
			}
		}
	}
}

// readPresence reads a line in metadata.PresenceFormat. It returns false for an
// entry without a LogContext, for which Envoy writes "-".
func readPresence(line string) (e entry, ok bool) {
	var fields [4]string
	for i := range fields {
		if fields[i], line, ok = strings.Cut(line, " "); !ok {
			return e, false
		}
	}
	switch fields[0] {
	case "DownstreamPeriodic":
		e.running = true
	case "DownstreamEnd":
	default:
		return e, false
	}
	e.status, _ = strconv.Atoi(fields[1]) // "-" is none
	e.bytesIn, _ = strconv.ParseInt(fields[2], 10, 64)
	e.clientIP = fields[3]
	e.context = line
	return e, line != "" && line != "-"
}
