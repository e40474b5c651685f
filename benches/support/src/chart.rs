//! A line chart with two logarithmic axes, drawn by `plotters` as SVG.
//!
//! Each curve has its name next to its end, which reads faster than a legend when there are ten.

use maud::{PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::numbers::{human, short};

/// A line chart.
pub struct Chart {
    /// What the chart shows.
    pub caption: String,
    /// What the horizontal axis shows.
    pub across: Across,
    /// Of the values on the vertical axis.
    pub unit: String,
    /// One curve per system.
    pub curves: Vec<Curve>,
}

/// The line of a system.
pub struct Curve {
    /// The system.
    pub name: String,
    /// As CSS writes it: `#` and six hexadecimal digits.
    pub color: &'static str,
    /// In the order of the horizontal axis. Points at zero or below are left out: the axes are logarithmic.
    pub points: Vec<(f64, f64)>,
}

/// What the horizontal axis shows.
#[derive(Clone, Copy)]
pub enum Across {
    /// Numbers of something.
    Counts(&'static str),
    /// Quantiles of look-ups, as the number of look-ups per slower one: 2 is the median, a million the slowest of all.
    Quantiles,
}

const WIDTH: u32 = 560;
const HEIGHT: u32 = 300;
/// Room for the names of the curves.
const RIGHT: u32 = 130;
const TEXT: RGBColor = RGBColor(0x4a, 0x58, 0x68);
const GRID: RGBColor = RGBColor(0xe3, 0xe8, 0xee);
const FONT: (&str, u32) = ("system-ui, sans-serif", 11);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

impl Chart {
    /// The chart as an HTML figure; `None` if there is nothing to draw.
    #[must_use]
    pub fn draw(&self) -> Option<String> {
        self.points().next()?;
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        self.draw_on(&area).expect("drawing to a text does not fail");
        drop(area);
        let figure = html! { figure { figcaption { (self.caption) } (PreEscaped(svg)) } };
        Some(figure.into_string())
    }

    /// All points that a logarithmic chart can show.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.curves.iter().flat_map(Curve::shown)
    }

    fn draw_on(&self, area: &Area<'_>) -> Drawn {
        let across = around(self.points().map(|point| point.0));
        let up = around(self.points().map(|point| point.1));
        let mut measured: Vec<_> = self.points().map(|point| point.0).collect();
        measured.sort_by(f64::total_cmp);
        measured.dedup();
        let ticks = ticks(&up);
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(RIGHT)
            .x_label_area_size(36)
            .y_label_area_size(62)
            .build_cartesian_2d(across.log_scale().with_key_points(measured), up.log_scale().with_key_points(ticks))?;
        let label = FONT.into_font().color(&TEXT);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .axis_style(TEXT)
            .label_style(label.clone())
            .axis_desc_style(label)
            .x_desc(self.across.name())
            .x_label_formatter(&|value| self.across.tick(*value))
            .y_label_formatter(&|value| human(*value, &self.unit))
            .draw()?;
        let mut ends = Vec::new();
        for curve in &self.curves {
            let color = curve.color();
            chart.draw_series(LineSeries::new(curve.shown(), color.stroke_width(2)))?;
            chart.draw_series(curve.shown().map(|point| Circle::new(point, 3, color.filled())))?;
            ends.extend(curve.shown().last().map(|end| (chart.backend_coord(&end).1, curve)));
        }
        draw_names(area, ends)
    }
}

/// Draws the name of each curve at the height of its end, moved down if it would overlap the one above.
fn draw_names(area: &Area<'_>, mut ends: Vec<(i32, &Curve)>) -> Drawn {
    const LINE: i32 = 13;
    ends.sort_by_key(|(height, _)| *height);
    let mut free = 0;
    for (height, curve) in ends {
        let top = free.max(height - LINE / 2);
        free = top + LINE;
        let left = (WIDTH - RIGHT + 8) as i32;
        area.draw(&Text::new(curve.name.as_str(), (left, top), FONT.into_font().color(&curve.color())))?;
    }
    Ok(())
}

/// The range of the values with room at both ends, and a width even for a single value.
fn around(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.map(f64::log10).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    let room = ((high - low) * 0.05).max(0.1);
    10_f64.powf(low - room)..10_f64.powf(high + room)
}

/// Powers of ten inside the range, or its ends and middle where there are fewer than two.
fn ticks(range: &std::ops::Range<f64>) -> Vec<f64> {
    let (low, high) = (range.start.log10(), range.end.log10());
    let powers = (low.ceil() as i32)..=(high.floor() as i32);
    let ticks: Vec<_> = powers.map(|power| 10_f64.powi(power)).collect();
    if ticks.len() > 1 { ticks } else { [low, f64::midpoint(low, high), high].map(|v| 10_f64.powf(v)).to_vec() }
}

impl Curve {
    fn shown(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(|point| point.1 > 0.0)
    }

    fn color(&self) -> RGBColor {
        let part =
            |at: usize| u8::from_str_radix(&self.color[at..at + 2], 16).expect("a color is six hexadecimal digits");
        RGBColor(part(1), part(3), part(5))
    }
}

impl Across {
    fn name(self) -> &'static str {
        match self {
            Self::Counts(name) => name,
            Self::Quantiles => "share of look-ups that take no longer",
        }
    }

    fn tick(self, value: f64) -> String {
        match self {
            Self::Counts(_) => short(value),
            Self::Quantiles if value >= 1e6 => "all".to_owned(),
            Self::Quantiles => {
                let share = format!("{:.3}", 100.0 - 100.0 / value);
                share.trim_end_matches('0').trim_end_matches('.').to_owned() + " %"
            }
        }
    }
}
