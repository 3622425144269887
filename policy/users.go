package policy

import (
	"strconv"

	"weir/llm"
	"weir/policy/config"
)

func (l *loader) envoyUsers(users config.UserList) {
	for i, u := range users {
		uid, err := strconv.ParseUint(u, 10, 64)
		if !config.UserPattern.MatchString(u) || err == nil && uid > config.MaxUID {
			l.problem(config.IndexPath("envoy.users", i), "%q is not the name or the uid of a user", llm.Clip(u))
		}
	}
}
