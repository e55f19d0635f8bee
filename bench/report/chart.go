package report

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/stat"
)

// A chart shows one metric of a measure, a bar a subject, with its interval.
type chart struct {
	file, measure, metric string
}

var charts = []chart{
	{"per-request.svg", "per-request", "rate"},
	{"kept.svg", "kept", "rate"},
	{"latency-p50.svg", "latency", "p50"},
	{"latency-p99.svg", "latency", "p99"},
	{"memory.svg", "memory", "most"},
	{"workers.svg", "workers", "cpu"},
	{"sockets.svg", "sockets", "cpu"},
}

var (
	ours   = color.NRGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	theirs = color.NRGBA{R: 0xb8, G: 0xb8, B: 0xb8, A: 0xff}
	whisk  = color.NRGBA{R: 0x33, G: 0x33, B: 0x33, A: 0xff}
)

const (
	chartWidth = 16 * vg.Centimeter
	barWidth   = vg.Length(12) // points
	rowHeight  = vg.Length(20)
	frame      = vg.Length(70) // title and axis
)

// drawAll draws the charts of what was measured.
func drawAll(dir string, run *result.Run) error {
	for _, c := range charts {
		i := slices.IndexFunc(run.Measures, func(m result.Measure) bool { return m.Name == c.measure })
		if i < 0 {
			continue
		}
		if err := c.draw(filepath.Join(dir, c.file), run, run.Measures[i]); err != nil {
			return err
		}
	}
	return nil
}

// bar is one subject of a chart.
type bar struct {
	title   string
	summary stat.Summary
	ours    bool
}

func (c chart) draw(path string, run *result.Run, m result.Measure) error {
	var bars []bar
	for _, s := range slices.Backward(m.Subjects) { // the first one is at the top
		if summary := run.Summary(m.Name, s.Name, c.metric); summary.N > 0 {
			bars = append(bars, bar{s.Title, summary, strings.Contains(s.Name, "-rondo-")})
		}
	}
	if len(bars) == 0 {
		return nil
	}
	p := c.axes(m, bars)
	for i, b := range bars {
		if err := b.add(p, i); err != nil {
			return err
		}
	}
	return save(p, frame+rowHeight*vg.Length(len(bars)), path)
}

// axes is the chart without its bars.
func (c chart) axes(m result.Measure, bars []bar) *plot.Plot {
	p := plot.New()
	for _, style := range []*draw.TextStyle{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Label.TextStyle, &p.Y.Tick.Label,
	} {
		style.Font.Variant = "Sans"
	}
	p.Title.Text, p.Title.Padding = m.Title, vg.Length(8)
	for _, x := range m.Metrics {
		if x.Name == c.metric {
			p.X.Label.Text = withUnit(x.Title, x.Unit)
		}
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	p.Add(grid)
	titles := make([]string, len(bars))
	most := 0.0
	for i, b := range bars {
		titles[i], most = b.title, max(most, b.summary.High)
	}
	p.NominalY(titles...)
	p.X.Min, p.X.Max = 0, 1.05*most
	p.Y.Min, p.Y.Max = -0.6, float64(len(bars))-0.4
	return p
}

// save writes an SVG. Its font has the widths of Arial and Helvetica, which more
// browsers have.
func save(p *plot.Plot, height vg.Length, path string) error {
	svg, err := p.WriterTo(chartWidth, height, "svg")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if _, err := svg.WriteTo(&text); err != nil {
		return err
	}
	const font = "font-family:Liberation Sans"
	return os.WriteFile(path, bytes.ReplaceAll(text.Bytes(), []byte(font), []byte(font+",Arial,Helvetica,sans-serif")), 0o644)
}

// add draws b at height i.
func (b bar) add(p *plot.Plot, i int) error {
	c, err := plotter.NewBarChart(plotter.Values{b.summary.Median}, barWidth)
	if err != nil {
		return err
	}
	c.Horizontal, c.XMin, c.LineStyle.Width, c.Color = true, float64(i), 0, theirs
	if b.ours {
		c.Color = ours
	}
	whiskers, err := plotter.NewXErrorBars(struct {
		plotter.XYs
		plotter.XErrors
	}{
		plotter.XYs{{X: b.summary.Median, Y: float64(i)}},
		plotter.XErrors{{Low: b.summary.Median - b.summary.Low, High: b.summary.High - b.summary.Median}},
	})
	if err != nil {
		return err
	}
	whiskers.LineStyle.Color = whisk
	p.Add(c, whiskers)
	return nil
}
