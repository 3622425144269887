package metadata_test

import (
	"fmt"

	"weir/metadata"
)

// Each field is its length, a colon, its text and a comma, so that a text may contain
// anything. A value of another version is not read.
func ExampleLogContext() {
	context := metadata.LogContext{
		ID: "7f3a", Operation: "chat", Asked: "fast", KeyID: "k1", Key: "team, a", Stream: true,
		Attempts: []metadata.LoggedAttempt{{Cluster: "openai", Model: "gpt-4o-mini"}},
	}
	encoded := context.Encode()
	fmt.Println(encoded)
	fmt.Println(metadata.DecodeLogContext(encoded).Key)
	fmt.Printf("%+v\n", metadata.DecodeLogContext("2;"+encoded[2:]))
	// Output:
	// 1;4:7f3a,4:chat,4:fast,2:k1,7:team, a,1:1,1:1,6:openai,11:gpt-4o-mini,
	// team, a
	// {ID: Operation: Asked: KeyID: Key: Stream:false Attempts:[]}
}
