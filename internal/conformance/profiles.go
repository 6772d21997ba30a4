package conformance

import (
	"maps"
	"net/http"
	"slices"
)

// profiles are the rules of draft-ietf-acme-profiles.
var profiles = []Case{
	{"profiles §3", "each profile in the directory has a name and a description", Should, func(c *check) {
		for name, text := range c.profiles() {
			c.ok(name != "" && text != "", "the profile %q is described as %q", name, text)
		}
	}},
	{"profiles §4", "an order has the profile that newOrder named, also when it is fetched again", Must, func(c *check) {
		name := slices.Sorted(maps.Keys(c.profiles()))[0]
		payload := forNames(c.domain())
		payload["profile"] = name
		var first, again struct{ Profile string }
		ans := c.post(c.account(), c.dir.NewOrder, payload).want(http.StatusCreated).into(&first)
		c.post(c.account(), ans.header.Get("Location"), nil).want(http.StatusOK).into(&again)
		c.ok(first.Profile == name && again.Profile == name, "the order for the profile %q has %q, then %q", name, first.Profile, again.Profile)
	}},
	{"profiles §4", "an order with a profile that the directory doesn't have is refused as invalidProfile", Must, func(c *check) {
		c.profiles()
		payload := forNames(c.domain())
		payload["profile"] = "there-is-no-such-profile"
		c.post(c.account(), c.dir.NewOrder, payload).refused("invalidProfile")
	}},
}

// profiles are those of the directory; without any the case is skipped.
func (c *check) profiles() map[string]string {
	if len(c.dir.Meta.Profiles) == 0 {
		c.skip("the server has no profiles")
	}
	return c.dir.Meta.Profiles
}
