package admin

import "testing"

func TestGroupsWildcardsAndSuspensions(t *testing.T) {
	s := newSite(t)
	s.says([]said{
		{"person add ada", 0, "Added person ada"},
		{"person role ada boss", 2, "the roles are auditor, operator, administrator and none"},
		{"person role ada auditor", 0, "now: auditor"},
		{"person role bob auditor", 1, "there is no person bob"},
		{"group add web --member bob", 1, "not all of these are people: bob"},
		{"group add web --member ada --title Webmasters", 0, "Added group web"},
		{"group add web", 1, "exists already"},
		{"group members web", 2, "say what is to change"},
		{"group show web", 0, "ada"},
		{"host add www.example.org --group web", 0, "Added host"},
		{"host show www.example.org", 0, "group web"},
		{"host people www.example.org --ca-team", 1, "remove the others in the same command"},
		{"host people www.example.org --ca-team --remove-group web", 0, "the CA team"},
		{"host people www.example.org --add-group web", 0, "www.example.org: group web"},
		{"host people www.example.org --add-group mail", 1, `there is no group "mail"`},
		{"acme-id add www.example.org --name *.www.example.org", 1, "allows no wildcards for www.example.org"},
		{"wildcard allow *.example.org", 1, "is a wildcard"},
		{"wildcard allow example.org", 0, "allowed for example.org and below"},
		{"wildcard allow example.org", 1, "already"},
		{"acme-id add www.example.org --name *.www.example.org --name www.example.org", 0, "*.www.example.org"},
		{"wildcard list", 0, "example.org"},
		{"wildcard withhold www.example.org", 1, "not allowed for www.example.org itself"},
		{"wildcard withhold example.org", 0, "no longer allowed"},
		{"suspension add host www.example.org --reason x", 1, `there is nothing of kind "host" to suspend`},
		{"suspension add name www.example.org", 1, "give a reason"},
		{"suspension add account 99 --reason x", 1, "there is no account 99"},
		{"suspension add acme-id nobody.example.org --reason x", 1, "there is no ACME-ID nobody.example.org"},
		{"suspension add subtree Example.ORG. --reason break-in", 0, "Suspended subtree example.org"},
		{"suspension add subtree example.org --reason again", 1, "suspended already"},
		{"suspension list", 0, "break-in"},
		{"suspension remove name example.org", 1, "is not suspended"},
		{"suspension remove subtree example.org", 0, "no longer suspended"},
		{"group remove web", 0, "Removed group"},
		{"host show www.example.org", 0, "nobody"},
	})
}
