// Package version says which release this is.
package version

import "runtime/debug"

// Number is the release of both programs.
const Number = "0.1.0"

// String is the release with the commit that it was built from, where the build knows it.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Number
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return Number + " (" + s.Value[:12] + ")"
		}
	}
	return Number
}
