package policy

import (
	"weir/llm"
	"weir/policy/config"
)

func (l *loader) envoyUsers(users config.UserList) {
	for i, u := range users {
		if !config.IsUser(u) {
			l.problem(config.IndexPath("envoy.users", i), "%q is not the name or the uid of a user", llm.Clip(u))
		}
	}
}
