package portal

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// flash is what the next page says once: what has been done.
type flash struct {
	Text string
	Bad  bool // it did not work
}

// flashCookie takes it there. Who could forge it could write to the page already, and
// it is shown as text.
const flashCookie = "__Host-vidimus-flash"

func (r *request) setFlash(f flash) {
	if len(f.Text) > 1000 {
		f.Text = f.Text[:1000]
	}
	data, _ := json.Marshal(f) // which can't fail
	r.setCookie(flashCookie, base64.RawURLEncoding.EncodeToString(data), 60)
}

// takeFlash reads what there is to say, and forgets it.
func (r *request) takeFlash() *flash {
	c, err := r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	r.setCookie(flashCookie, "", -1)
	var f flash
	data, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || json.Unmarshal(data, &f) != nil || f.Text == "" {
		return nil
	}
	return &f
}

// setCookie sets a cookie for this host alone; seconds below 0 remove it.
func (r *request) setCookie(name, value string, seconds int) {
	http.SetCookie(r.w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
