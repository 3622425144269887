package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
)

const (
	defaultDimensions = 256
	maxDimensions     = 4096
)

func readEmbeddings(f fields, p *Prompt) error {
	p.Stream = false
	p.dimensions = defaultDimensions
	var in inputs
	var format string
	err := errors.Join(f.get("input", &in), f.get("dimensions", &p.dimensions), f.get("encoding_format", &format))
	if err != nil {
		return err
	}
	if p.dimensions < 1 || p.dimensions > maxDimensions {
		return invalid("dimensions", "dimensions: %d is not between 1 and %d.", p.dimensions, maxDimensions)
	}
	switch format {
	case "", "float":
	case "base64":
		p.base64 = true
	default:
		return invalid("encoding_format", "encoding_format: %q is neither \"float\" nor \"base64\".", format)
	}
	for _, text := range in {
		p.addUser(text)
	}
	return nil
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

func replyEmbeddings(p Prompt, _ string) Reply {
	data := make([]embedding, len(p.Texts))
	for i, text := range p.Texts {
		data[i] = embedding{Object: "embedding", Index: i, Embedding: embed(text, p.dimensions)}
		if p.base64 {
			// Little-endian float32, which the SDKs ask for and decode.
			raw, _ := binary.Append(nil, binary.LittleEndian, data[i].Embedding)
			data[i].Embedding = base64.StdEncoding.EncodeToString(raw)
		}
	}
	return document(http.StatusOK, object{
		"object": "list",
		"data":   data,
		"model":  p.Model,
		"usage":  object{"prompt_tokens": p.Tokens, "total_tokens": p.Tokens},
	})
}

// embed gives each word its own direction and adds them up, so that texts with common
// words are near each other: enough to try a search.
func embed(text string, dimensions int) []float32 {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		words = []string{text}
	}
	sum := make([]float64, dimensions)
	for _, word := range words {
		direction := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(word))))
		for i := range sum {
			sum[i] += direction.Float64()*2 - 1
		}
	}
	norm := 0.0
	for _, v := range sum {
		norm += v * v
	}
	norm = math.Sqrt(norm)
	unit := make([]float32, dimensions)
	for i, v := range sum {
		unit[i] = float32(v / norm)
	}
	return unit
}
