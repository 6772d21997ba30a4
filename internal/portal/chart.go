package portal

import (
	"fmt"
	"html/template"
	"strings"
)

// bar is one of a chart. Part is drawn before Value, in the colour of another kind.
type bar struct {
	Label string
	Value int64
	Part  int64
	Title string // what is said when somebody points at it
}

// The measures of charts, in the units of their view box.
const (
	chartWidth, chartHeight = 720, 190
	chartLeft, chartBottom  = 44, 22
	rowHeight, rowLabel     = 26, 210
)

// columns draws bars side by side, with a label below each every-th. It is one picture to
// screen readers, named by alt; the numbers are in a table beside it.
func columns(alt string, bars []bar, every int) template.HTML {
	most := int64(1)
	for _, b := range bars {
		most = max(most, b.Value, b.Part)
	}
	step := roundStep(most)
	top := (most + step - 1) / step * step
	high := func(n int64) float64 { return float64(chartHeight-chartBottom-8) * float64(n) / float64(top) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, chartHeight, template.HTMLEscapeString(alt))
	floor := float64(chartHeight - chartBottom)
	for n := int64(0); n <= top; n += step {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			chartLeft, chartWidth, floor-high(n), floor-high(n), chartLeft-6, floor-high(n)+4, short(n))
	}
	width := float64(chartWidth-chartLeft-6) / float64(max(1, len(bars)))
	for i, x := range bars {
		left := chartLeft + 4 + float64(i)*width
		fmt.Fprintf(&b, `<g><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`,
			template.HTMLEscapeString(x.Title), left, floor-high(x.Value), width*0.8, high(x.Value))
		if x.Part > 0 {
			fmt.Fprintf(&b, `<rect class="second-mark" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, left, floor-high(x.Part), width*0.8, high(x.Part))
		}
		b.WriteString(`</g>`)
		if i%every == 0 {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, left, chartHeight-5, template.HTMLEscapeString(x.Label))
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// lines draws bars one below the other, each with its label and number.
func lines(alt string, bars []bar) template.HTML {
	most := int64(1)
	for _, b := range bars {
		most = max(most, b.Value)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, max(1, len(bars))*rowHeight, template.HTMLEscapeString(alt))
	for i, x := range bars {
		y, width := i*rowHeight, float64(chartWidth-rowLabel-70)*float64(x.Value)/float64(most)
		fmt.Fprintf(&b, `<text class="label" x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d"/><text x="%.1f" y="%d">%d</text>`,
			rowLabel-8, y+18, template.HTMLEscapeString(clipped(x.Label, 30)), rowLabel, y+4, max(width, 1), rowHeight-8, rowLabel+max(width, 1)+6, y+18, x.Value)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// roundStep is between the lines of a chart that goes to most: 1, 2 or 5 times a power of
// ten, for three to six of them.
func roundStep(most int64) int64 {
	for step := int64(1); ; step *= 10 {
		for _, f := range []int64{1, 2, 5} {
			if most <= 5*step*f {
				return step * f
			}
		}
	}
}

// short is a number for the edge of a chart.
func short(n int64) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%gM", float64(n)/1e6)
	case n >= 10_000:
		return fmt.Sprintf("%gk", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}

func clipped(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
