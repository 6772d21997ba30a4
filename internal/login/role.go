package login

import (
	"strings"

	"vidimus/internal/directory"
)

// Roles are the groups that give each role.
type Roles map[directory.Role][]string

// of is the highest role that the groups give. Names are compared without their case, as
// directories do.
func (r Roles) of(groups []string) (role directory.Role) {
	for give, names := range r {
		for _, n := range names {
			for _, g := range groups {
				if strings.EqualFold(n, g) {
					role = directory.Max(role, give)
				}
			}
		}
	}
	return role
}
