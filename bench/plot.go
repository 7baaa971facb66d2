// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours differ in brightness too, for a print without colour.
var colours = []color.Color{
	color.RGBA{R: 0xc4, G: 0x2a, B: 0x1c, A: 0xff},
	color.RGBA{R: 0x1b, G: 0x4f, B: 0x9c, A: 0xff},
	color.RGBA{R: 0x3a, G: 0x9a, B: 0x5b, A: 0xff},
	color.RGBA{R: 0x8a, G: 0x6d, B: 0x00, A: 0xff},
}

var marks = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PlusGlyph{}}

// draw writes the curve as an SVG file: medians, with bars for the quartiles.
func (c *curve) draw(directory string) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Title.Padding = vg.Points(8)
	for i, l := range c.lines {
		if err := addLine(p, l, i); err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
	}
	c.scale(p)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.Padding = vg.Points(8), vg.Points(2)
	return save(p, filepath.Join(directory, c.file+".svg"))
}

// save writes the plot. The font is one that few systems have: others of the same
// width are named behind it.
func save(p *plot.Plot, path string) error {
	w, err := p.WriterTo(vg.Points(520), vg.Points(340), "svg")
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if _, err := w.WriteTo(&svg); err != nil {
		return err
	}
	text := bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(path, text, 0o644)
}

func addLine(p *plot.Plot, l line, number int) error {
	points := bars{XYs: make(plotter.XYs, len(l.points)), YErrors: make(plotter.YErrors, len(l.points))}
	for i, at := range l.points {
		points.XYs[i] = plotter.XY{X: at.x, Y: at.y.median}
		points.YErrors[i].Low, points.YErrors[i].High = at.y.median-at.y.first, at.y.third-at.y.median
	}
	curve, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	quartiles, err := plotter.NewYErrorBars(points)
	if err != nil {
		return err
	}
	colour := colours[number%len(colours)]
	curve.Color, dots.Color, quartiles.Color = colour, colour, colour
	curve.Width = vg.Points(1.5)
	dots.Shape, dots.Radius = marks[number%len(marks)], vg.Points(2.5)
	p.Add(curve, dots, quartiles)
	p.Legend.Add(l.name, curve, dots)
	return nil
}

// bars are points with the bars of their quartiles.
type bars struct {
	plotter.XYs
	plotter.YErrors
}

// scale makes the axes logarithmic, labelled at decades with units, and leaves
// room for the legend above the lines.
func (c *curve) scale(p *plot.Plot) {
	p.Y.Min /= 1.2
	decades := math.Log10(p.Y.Max / p.Y.Min)
	legend := 0.03 + 0.055*float64(len(c.lines)) // of the height
	p.Y.Max *= math.Pow(10, decades*legend/(1-legend))
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = decadeTicks{base: 10, unit: seconds, fine: decades < 3}
	p.Y.Tick.Label.XAlign = draw.XRight - 0.08
	p.Add(grid())
	if c.linear {
		p.X.Min = 0
		p.X.Max *= 1.03
		p.X.Tick.Marker = pointTicks(c.lines[0].points, c.xUnit)
		return
	}
	p.X.Scale = plot.LogScale{}
	p.X.Max *= math.Pow(p.X.Max/p.X.Min, 0.02) // room for the last label
	if p.X.Max/p.X.Min > 1<<20 {
		p.X.Tick.Marker = decadeTicks{base: 32, unit: c.xUnit}
	} else {
		p.X.Tick.Marker = decadeTicks{base: 10, unit: c.xUnit}
	}
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	pale := color.Gray{Y: 0xe4}
	g.Vertical.Color, g.Horizontal.Color = pale, pale
	return g
}

// decadeTicks labels the powers of the base, and marks what lies between.
type decadeTicks struct {
	base float64
	unit unit
	fine bool // label 2 and 5 times the powers too
}

func (t decadeTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	for power := math.Floor(log(low, t.base)); power <= log(high, t.base)+1e-9; power++ {
		start := math.Pow(t.base, power)
		for times := 1.0; times < t.base && t.base <= 10 || times == 1; times++ {
			tick := plot.Tick{Value: start * times}
			if times == 1 || t.fine && (times == 2 || times == 5) {
				tick.Label = short(t.unit(tick.Value))
			}
			if tick.Value >= low && tick.Value <= high {
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}

func log(v, base float64) float64 { return math.Log(v) / math.Log(base) }

// short leaves out decimals that say nothing: "1.00 µs" is "1 µs".
func short(label string) string {
	var value float64
	var name string
	if n, _ := fmt.Sscanf(label, "%g %s", &value, &name); n == 2 {
		return fmt.Sprintf("%g %s", value, name)
	}
	return label
}

// pointTicks labels an axis where it was measured.
func pointTicks(points []point, unit unit) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, at := range points {
		ticks = append(ticks, plot.Tick{Value: at.x, Label: unit(at.x)})
	}
	return ticks
}
