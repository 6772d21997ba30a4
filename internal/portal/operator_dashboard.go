package portal

import (
	"cmp"
	"errors"
	"html/template"
	"slices"
	"strings"
	"time"

	"vidimus/internal/store"
)

func (p *Portal) dashboardRoutes() {
	p.handle("GET /portal/dashboard", overseer, p.dashboard)
}

// dashboard is what the page shows.
type dashboard struct {
	store.Statistics
	Minutes int // how old the numbers are

	Issued, Ending, Failed, Used template.HTML // charts
	Causes                       []cause
	Clients                      []clientUse
	IssuedSum, RevokedSum        int64 // in the days that are shown
	EndingSum, EndingHosts       int64 // in the next 30 days or so
}

type cause struct {
	Type  string // RFC 8555 §6.7
	Text  string
	Count int64
}

type clientUse struct {
	Name, Version string
	Count         int64
}

// recentDays is what failures and clients are counted of.
const recentDays = 30

// dashboard shows what was counted some minutes ago. Queries: 1.
func (p *Portal) dashboard(r *request) error {
	st, err := p.Store.Statistics(r.Context())
	if errors.Is(err, store.ErrNotFound) {
		return r.show("dashboard", nil)
	}
	if err != nil {
		return err
	}
	d := &dashboard{Statistics: st, Minutes: max(0, int(p.Now().Sub(st.At)/time.Minute))}
	d.drawDays(r)
	d.drawWeeks(r)
	d.drawCauses(r)
	d.drawClients(r)
	return r.show("dashboard", d)
}

func (d *dashboard) drawDays(r *request) {
	var bars []bar
	for _, x := range d.Days {
		d.IssuedSum += x.Issued
		d.RevokedSum += x.Revoked
		bars = append(bars, bar{Label: x.Day[5:], Value: x.Issued, Part: x.Revoked, Title: r.t("dashboard.day-title", x.Day, x.Issued, x.Revoked)})
	}
	d.Issued = columns(r.t("dashboard.issued-alt", d.IssuedSum, len(d.Days)), bars, 10)
}

func (d *dashboard) drawWeeks(r *request) {
	var bars []bar
	for i, x := range d.Weeks {
		if i < 4 {
			d.EndingSum += x.Ending
			d.EndingHosts += x.Hosts
		}
		day := x.Begin.Format(time.DateOnly)
		bars = append(bars, bar{Label: day[5:], Value: x.Ending, Part: x.Hosts, Title: r.t("dashboard.week-title", day, x.Ending, x.Hosts)})
	}
	d.Ending = columns(r.t("dashboard.ending-alt", d.EndingSum), bars, 1)
}

// recent are the days that failures and clients are counted of.
func (d *dashboard) recent() []store.DayStatistics { return d.Days[max(0, len(d.Days)-recentDays):] }

func (d *dashboard) drawCauses(r *request) {
	counts := map[string]int64{}
	for _, x := range d.recent() {
		for kind, n := range x.Failures {
			counts[kind] += n
		}
	}
	for kind, n := range counts {
		text := r.t("cause." + kind)
		if strings.HasPrefix(text, "cause.") {
			text = kind
		}
		d.Causes = append(d.Causes, cause{kind, text, n})
	}
	slices.SortFunc(d.Causes, func(a, b cause) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Type, b.Type)) })
	var bars []bar
	for _, c := range d.Causes {
		bars = append(bars, bar{Label: c.Text, Value: c.Count})
	}
	d.Failed = lines(r.t("dashboard.failed-alt"), bars)
}

// mostClients is how many clients are drawn; the table has all.
const mostClients = 12

func (d *dashboard) drawClients(r *request) {
	counts := map[[2]string]int64{}
	for _, x := range d.recent() {
		for id, n := range x.Clients {
			name, version := product(d.Statistics.Clients[id])
			if name == "" {
				name = r.t("dashboard.no-client")
			}
			counts[[2]string{name, version}] += n
		}
	}
	for k, n := range counts {
		d.Clients = append(d.Clients, clientUse{k[0], k[1], n})
	}
	slices.SortFunc(d.Clients, func(a, b clientUse) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	var bars []bar
	for _, c := range d.Clients[:min(mostClients, len(d.Clients))] {
		bars = append(bars, bar{Label: strings.TrimSpace(c.Name + " " + c.Version), Value: c.Count})
	}
	d.Used = lines(r.t("dashboard.used-alt"), bars)
}

// product is the name and version that a User-Agent begins with (RFC 9110 §10.1.5).
func product(userAgent string) (name, version string) {
	first, _, _ := strings.Cut(strings.TrimSpace(userAgent), " ")
	name, version, _ = strings.Cut(first, "/")
	if name == "CertbotACMEClient" {
		name = "Certbot"
	}
	return clipped(name, 40), clipped(version, 20)
}
