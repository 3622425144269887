package xds_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/google/go-cmp/cmp"

	"weir/xds"
)

func TestRejectedAndTakenBack(t *testing.T) {
	s, c := synced(t)

	bad := base()
	bad.Clusters[0] = aCluster("a", "bad")
	done := s.publishing(t, deadline(t), bad)
	c.nack(c.expect(clusters, []string{"a"}, nil), "a: no good")
	err := receive(t, done)
	var rejected *xds.Rejected
	want := &xds.Rejected{Node: "envoy-1", Type: "clusters", Text: "Internal: a: no good"}
	if !errors.As(err, &rejected) || !cmp.Equal(want, rejected) {
		t.Errorf("error %v, want %v", err, want)
	}
	if want := `xds: envoy "envoy-1" rejected clusters: Internal: a: no good`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	node := s.Nodes()[0]
	if node.Synced || node.Rejections["clusters"] != want.Text {
		t.Errorf("status %+v", node)
	}
	if logs := s.logs.String(); !strings.Contains(logs, `level=ERROR msg="envoy rejected an update" node=envoy-1 type=clusters text="Internal: a: no good"`) {
		t.Errorf("logs:\n%s", logs)
	}
	c.expectNothing() // the same thing is not tried again by itself

	done = s.publishing(t, deadline(t), base())
	c.ack(c.expect(clusters, []string{"a"}, nil))
	mustBePublished(t, done)
	s.waitPending(t)
	if node := s.Nodes()[0]; len(node.Rejections) != 0 {
		t.Errorf("status %+v", node)
	}
}

// Envoy may reject a whole response for one resource in it. go-control-plane
// takes the rest for delivered.
func TestRejectedAndCorrected(t *testing.T) {
	s, c := synced(t)

	bad := base()
	bad.Clusters = []types.Resource{aCluster("good", ""), aCluster("bad", "bad"), aCluster("unwanted", "")}
	done := s.publishing(t, deadline(t), bad)
	c.nack(c.expect(clusters, []string{"bad", "good", "unwanted"}, []string{"a", "b"}), "no good")
	mustBeRejected(t, done)

	corrected := base()
	corrected.Clusters = []types.Resource{aCluster("good", ""), aCluster("bad", "corrected"), aCluster("b", "")}
	done = s.publishing(t, deadline(t), corrected)
	c.ack(c.expect(clusters, []string{"b", "bad", "good"}, []string{"a", "unwanted"}))
	mustBePublished(t, done)
	s.waitPending(t)
	c.expectNothing()
}

func TestRejectedAndPublishedAgain(t *testing.T) {
	s, c := synced(t)
	set := base()
	set.Clusters[0] = aCluster("a", "file that is missing")
	for range 2 {
		done := s.publishing(t, deadline(t), set)
		c.nack(c.expect(clusters, []string{"a"}, nil), "no file")
		mustBeRejected(t, done)
	}
	done := s.publishing(t, deadline(t), set)
	c.ack(c.expect(clusters, []string{"a"}, nil))
	mustBePublished(t, done)
	s.waitPending(t)
}

// An Envoy that comes between publications and rejects the current set.
func TestRejectedByNewcomer(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base())
	c := s.connect(t, "envoy-1")
	c.subscribe(clusters)
	c.nack(c.expect(clusters, []string{"a", "b"}, nil), "no good")
	s.wait(t, func(nodes []xds.NodeStatus) bool {
		return nodes[0].Rejections["clusters"] == "Internal: no good"
	})
	c.expectNothing()
}

// A rejection of what has been replaced while it was under way is none of the
// replacement, but what is in both is sent again.
func TestLateRejection(t *testing.T) {
	s, c := synced(t)

	bad := base()
	bad.Clusters = []types.Resource{aCluster("a", "in both"), aCluster("b", "bad")}
	ctx, cancel := context.WithCancel(deadline(t))
	done := s.publishing(t, ctx, bad)
	resp := c.expect(clusters, []string{"a", "b"}, nil)
	cancel()
	if err := receive(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	replacement := base()
	replacement.Secrets[0] = aSecret("key", "sk-2")
	replacement.Clusters[0] = aCluster("a", "in both")
	done = s.publishing(t, deadline(t), replacement)
	c.ack(c.expect(secrets, []string{"key"}, nil)) // the replacement is out
	c.nack(resp, "b: no good")
	c.ack(c.expect(clusters, []string{"a", "b"}, nil))
	mustBePublished(t, done)
	s.waitPending(t)
	c.expectNothing()
}

// A secret that Envoy no longer wants is no longer rejected.
func TestRejectedAndUnsubscribed(t *testing.T) {
	s, c := synced(t)
	set := base()
	set.Secrets[0] = aSecret("key", "bad")
	done := s.publishing(t, deadline(t), set)
	c.nack(c.expect(secrets, []string{"key"}, nil), "no good")
	mustBeRejected(t, done)
	c.send(unsubscribe(secrets, "key"))
	s.waitPending(t)
	if node := s.Nodes()[0]; len(node.Rejections) != 0 {
		t.Errorf("status %+v", node)
	}
	c.subscribe(secrets, "key")
	c.ack(c.expect(secrets, []string{"key"}, nil))
	s.waitPending(t)
}

func TestRejectionText(t *testing.T) {
	// The messages of Envoy 1.40.0, but for the last two.
	cases := map[string]struct{ typeURL, in, want string }{
		"listener": {
			listeners, "Error adding/updating listener(s) l: Didn't find a registered implementation for 'hcm' with type URL: 'nope'\n",
			"Internal: Error adding/updating listener(s) l: Didn't find a registered implementation for 'hcm' with type URL: 'nope'",
		},
		"value": {
			clusters, "Invalid duration: Expected positive duration: goo.gle/debugstr  \nseconds: -1\n",
			"Internal: Invalid duration: Expected positive duration: [message]",
		},
		"pattern": {
			listeners, "Error adding/updating listener(s) weir: regex '(?:|[^ab].*)' RE2 program size of 2312 > max program size of 100 set for the error level threshold. Increase configured max program size if necessary.",
			"Internal: Error adding/updating listener(s) weir: [pattern] is longer than the runtime of this Envoy allows: start Envoy with the bootstrap that `weir bootstrap` of this version prints",
		},
		"secret": {
			secrets, "goo.gle/debugstr  \nname: \"k2\"\ngeneric_secret {\n  secret {\n    inline_string: \"sk-live\"\n  }\n}\n: Proto constraint validation failed (SecretValidationError.GenericSecret: embedded message failed validation | caused by field: \"specifier\", reason: is required)",
			"Internal: [message]: Proto constraint validation failed (SecretValidationError.GenericSecret: embedded message failed validation | caused by field: [quoted], reason: is required)",
		},
		"secret, other quotation": {
			secrets, "failed: inline_string: \"sk-\\\"live\" in \"k2\"",
			"Internal: failed: inline_string: [quoted] in [quoted]",
		},
		"secret, cut short": {
			secrets, "failed: inline_string: \"sk-live\\",
			"Internal: failed: inline_string: [quoted]",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newTestServer(t)
			s.mustPublish(t, base())
			c := s.connect(t, "envoy-1")
			c.subscribe(tc.typeURL, map[string][]string{secrets: {"key"}}[tc.typeURL]...)
			resp, err := c.stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			c.nack(resp, tc.in)
			s.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes[0].Rejections) == 1 })
			for _, got := range s.Nodes()[0].Rejections {
				if got != tc.want {
					t.Errorf("got  %s\nwant %s", got, tc.want)
				}
			}
			if strings.Contains(s.logs.String(), "live") {
				t.Errorf("logs:\n%s", s.logs)
			}
		})
	}
}

func TestRejectionIsBounded(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base())
	c := s.connect(t, "envoy-1")
	c.subscribe(clusters)
	c.nack(c.expect(clusters, []string{"a", "b"}, nil), strings.Repeat("é", 4<<10))
	s.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes[0].Rejections) == 1 })
	if text := s.Nodes()[0].Rejections["clusters"]; len(text) > 2<<10 || len(text) < 2<<10-4 || !utf8.ValidString(text) {
		t.Errorf("%d bytes, valid %v", len(text), utf8.ValidString(text))
	}
}
