package metadata_test

import (
	"fmt"
	"time"

	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
)

// Each field is its length, a colon, its text and a comma, so that a text may contain
// anything. A value of another version is not read.
func ExampleLogContext() {
	context := metadata.LogContext{
		ID: "7f3a", Operation: "chat", Asked: "fast", KeyID: "k1", Key: "team, a", Stream: true, Prompt: 9,
		Attempts: []metadata.LoggedAttempt{{Cluster: "openai", Model: "gpt-4o-mini"}},
	}
	encoded := context.Encode()
	fmt.Println(encoded)
	fmt.Println(metadata.DecodeLogContext(encoded).Key)
	fmt.Printf("%+v\n", metadata.DecodeLogContext("2;"+encoded[2:]))
	// Output:
	// 1;4:7f3a,4:chat,4:fast,2:k1,7:team, a,1:1,1:9,1:1,6:openai,11:gpt-4o-mini,0:,0:,
	// team, a
	// {ID: Operation: Asked: KeyID: Key: Stream:false Prompt:0 Attempts:[] Path: ClientID:}
}

// The first attempt asked for the model "gpt-4o". For the second, the plan replaces that
// name, which begins at byte 10 of the body.
func ExamplePlan() {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	plan := metadata.Plan{
		Deadline: now.Add(time.Minute), Length: len(`{"model":"gpt-4o"}`),
		Attempts: []metadata.Attempt{{
			Cluster: "azure", Model: "my-deployment", Path: "/v1/chat/completions", Authority: "azure.internal",
			Edits: []body.Edit{{At: 10, Len: len("gpt-4o"), With: []byte("my-deployment")}},
		}},
	}
	second, err := metadata.DecodeRetry(plan.Encode(), 2, "azure", plan.Length, now)
	fmt.Println(second.Authority, second.Length, second.Last, err)

	_, err = metadata.DecodeRetry(plan.Encode(), 2, "another", plan.Length, now)
	fmt.Println(err)
	// Output:
	// azure.internal 25 true <nil>
	// attempt 2 is planned for cluster "azure", Envoy chose "another"
}

// A response that another attempt could replace is held; a damaged value holds nothing.
func ExampleGate() {
	gate := metadata.Gate{Response: llm.KindChat, Stream: true, Hold: true, Attempt: 30 * time.Second}
	decoded := metadata.DecodeGate(gate.Encode())
	fmt.Println(decoded.Needed(), decoded.Watches(), decoded.Response)

	damaged := metadata.DecodeGate("not a gate")
	fmt.Println(damaged.Needed())
	// Output:
	// true false chat
	// false
}
