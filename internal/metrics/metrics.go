// Package metrics counts what vidimusd does, for Prometheus. No label has a value that
// a client can choose, so there are as many time series as there are kinds of things.
package metrics

import (
	"cmp"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

// Metrics are the counters of one server. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	problems *prometheus.CounterVec
	panics   prometheus.Counter
	events   *prometheus.CounterVec
}

// New makes the metrics of a server of that version.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vidimusd_requests_total",
			Help: "Requests by route and HTTP status."}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vidimusd_request_seconds",
			Help:    "Time to answer, by route; a poll may be held back for seconds on purpose.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 15}}, []string{"route"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vidimusd_problems_total",
			Help: "Problem documents by ACME error type; badNonce are the nonces refused."}, []string{"type"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "vidimusd_panics_total",
			Help: "Requests that met a fault in the program; the log has them."}),
	}
	m.events = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vidimusd_events_total",
		Help: "Events that this process wrote into the audit log: accounts, validations, certificates, revocations and so on, by result."},
		[]string{"action", "result"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "vidimusd_build_info", Help: "1, with the version as a label.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()}})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.problems, m.panics, m.events, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request counts an answer. The route is a pattern of the server's, never a path.
func (m *Metrics) Request(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// Problem counts a problem document.
func (m *Metrics) Problem(t acme.ProblemType) { m.problems.WithLabelValues(string(t)).Inc() }

// Event counts an event of the audit log.
func (m *Metrics) Event(e audit.Event) {
	m.events.WithLabelValues(string(e.Action), cmp.Or(e.Result, "done")).Inc()
}

// Panic counts a fault in the program.
func (m *Metrics) Panic() { m.panics.Inc() }

// Gauge adds a number that is read when it is asked for; read must be quick. The
// labels are pairs of name and value.
func (m *Metrics) Gauge(name, help string, read func() float64, labels ...string) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: pairs(labels)}, read))
}

// Counter is Gauge for a number that only grows.
func (m *Metrics) Counter(name, help string, read func() float64, labels ...string) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: pairs(labels)}, read))
}

func pairs(labels []string) prometheus.Labels {
	all := make(prometheus.Labels)
	for i := 0; i+1 < len(labels); i += 2 {
		all[labels[i]] = labels[i+1]
	}
	return all
}

// Handler serves the metrics in Prometheus's formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
