package llm

import "slices"

// ModelKind says what a model is for: "chat", "embedding" and so on. The empty kind is one
// that is not known.
type ModelKind string

// ChatModel answers messages, on every chat API. The others are named after their
// operations; ResponsesModel is a chat model that has the Responses API alone.
const (
	ChatModel          ModelKind = "chat"
	ResponsesModel     ModelKind = "responses"
	CompletionModel    ModelKind = "completion"
	EmbeddingModel     ModelKind = "embedding"
	ImageModel         ModelKind = "image"
	TranscriptionModel ModelKind = "transcription"
	SpeechModel        ModelKind = "speech"
	ModerationModel    ModelKind = "moderation"
	RerankModel        ModelKind = "rerank"
)

// kindsOf are the kinds of models that serve an operation.
var kindsOf = map[string][]ModelKind{
	"chat":             {ChatModel},
	countTokens:        {ChatModel},
	"compaction":       {ChatModel},
	"text_completion":  {CompletionModel},
	"embeddings":       {EmbeddingModel},
	"moderation":       {ModerationModel},
	"image_generation": {ImageModel},
	"image_edit":       {ImageModel},
	"image_variation":  {ImageModel},
	"speech":           {SpeechModel},
	"transcription":    {TranscriptionModel},
	"translation":      {TranscriptionModel},
	"rerank":           {RerankModel},
}

// Suits reports whether models of a kind serve the operation. A kind that is not known
// may serve everything.
func (e *Endpoint) Suits(kind ModelKind) bool {
	if kind == "" || kind == ResponsesModel && e.Surface == Responses {
		return true
	}
	kinds, known := kindsOf[e.Operation]
	return !known || slices.Contains(kinds, kind)
}
