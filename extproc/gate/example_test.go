package gate_test

import (
	"fmt"

	"weir/extproc/gate"
	"weir/llm"
)

// A provider sends status 200 and an error as the first event. The client has received
// nothing yet, so the next attempt can follow.
func ExampleJudge() {
	var judge gate.Judge
	judge.Reset(llm.KindChat, true, llm.NoFault)
	verdict := judge.Headers(200, "text/event-stream", "", false)
	fmt.Println(verdict == llm.Undecided)

	verdict = judge.Data([]byte(`data: {"error": {"message": "`), false)
	fmt.Println(verdict == llm.Undecided)

	verdict = judge.Data([]byte("overloaded\"}}\n\n"), false)
	fmt.Println(verdict == llm.ErrorResponse, verdict.Failed())
	// Output:
	// true
	// true
	// true true
}

// A stream whose connection closes is complete only if it had the last event of its API.
func ExampleEnd() {
	var end gate.End
	end.Reset(llm.KindChat)
	end.Data([]byte("data: {\"choices\": [{\"delta\": {\"content\": \"Hel\"}}]}\n\n"))
	fmt.Println(end.Complete())
	end.Data([]byte("data: [DONE]\n\n"))
	fmt.Println(end.Complete())
	// Output:
	// false
	// true
}
