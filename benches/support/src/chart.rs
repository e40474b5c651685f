//! A line chart with two logarithmic axes, as SVG text.

use crate::numbers::human;

/// One chart.
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

/// A system's line.
pub struct Curve {
    /// The system.
    pub name: String,
    /// As CSS writes it.
    pub color: &'static str,
    /// In the order of the horizontal axis.
    pub points: Vec<(f64, f64)>,
}

/// What is across.
#[derive(Clone, Copy)]
pub enum Across {
    /// Numbers of something.
    Counts(&'static str),
    /// The median and rarer look-ups, at 2, 100, 1,000 and 1,000,000.
    Quantiles,
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
                format!("{:.3}", 100.0 - 100.0 / value).trim_end_matches('0').trim_end_matches('.').to_owned() + " %"
            }
        }
    }
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// From values to places on one axis.
struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (low, high) = values.map(f64::log10).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        // Room around, and a width even for a single value.
        let room = ((high - low) * 0.05).max(0.1);
        Self { low: low - room, high: high + room, start, end }
    }

    fn place(&self, value: f64) -> f64 {
        self.start + (value.log10() - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    /// Powers of ten inside, or the ends where there are too few.
    fn ticks(&self) -> Vec<f64> {
        let powers = (self.low.ceil() as i32)..=(self.high.floor() as i32);
        let ticks: Vec<_> = powers.map(|power| 10_f64.powi(power)).collect();
        if ticks.len() > 1 {
            ticks
        } else {
            [self.low, (self.low + self.high) / 2.0, self.high].map(|v| 10_f64.powf(v)).to_vec()
        }
    }
}

impl Chart {
    /// The chart as a figure; none where there is nothing to draw.
    pub fn draw(&self) -> Option<String> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points).filter(|point| point.1 > 0.0);
        points().next()?;
        let across = Scale::new(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let up = Scale::new(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut svg = self.axes(&across, &up);
        for curve in &self.curves {
            svg += &curve.draw(&across, &up);
        }
        svg += &self.names(&up);
        Some(format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">{svg}</svg></figure>\n",
            self.caption
        ))
    }

    fn axes(&self, across: &Scale, up: &Scale) -> String {
        let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut svg = String::new();
        for tick in up.ticks() {
            let y = up.place(tick);
            svg += &format!("<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e3e8ee\"/>");
            let text = human(tick, &self.unit);
            svg += &format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 6.0, y + 4.0);
        }
        for tick in self.places_across() {
            let (x, text) = (across.place(tick), self.across.tick(tick));
            svg += &format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", floor + 16.0);
        }
        let middle = (LEFT + right) / 2.0;
        svg += &format!("<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{floor}\" y2=\"{floor}\" stroke=\"#7b8794\"/>");
        svg + &format!(
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 6.0,
            self.across.name()
        )
    }

    /// Where the points stand across: few, and the values that were measured.
    fn places_across(&self) -> Vec<f64> {
        let mut places: Vec<_> = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    /// Names beside the ends of the lines, moved apart where they would overlap.
    fn names(&self, up: &Scale) -> String {
        let end = |curve: &Curve| curve.points.last().filter(|point| point.1 > 0.0).map(|point| up.place(point.1));
        let mut names: Vec<_> = self.curves.iter().filter_map(|curve| Some((end(curve)?, curve))).collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut lowest = 0.0_f64;
        let mut svg = String::new();
        for (y, curve) in names {
            lowest = y.max(lowest + 13.0);
            let (x, y) = (WIDTH - RIGHT + 8.0, lowest + 4.0);
            svg += &format!("<text x=\"{x}\" y=\"{y:.1}\" style=\"fill:{}\">{}</text>", curve.color, curve.name);
        }
        svg
    }
}

impl Curve {
    fn draw(&self, across: &Scale, up: &Scale) -> String {
        let places: Vec<_> =
            self.points.iter().filter(|point| point.1 > 0.0).map(|&(x, y)| (across.place(x), up.place(y))).collect();
        let line: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let mut svg = format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            line.join(" "),
            self.color
        );
        for (x, y) in places {
            svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"/>", self.color);
        }
        svg
    }
}

/// A count with k or M.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.3}", v / 1e6).trim_end_matches('0').trim_end_matches('.').to_owned() + " M",
        v if v >= 1e3 => format!("{:.1}", v / 1e3).trim_end_matches('0').trim_end_matches('.').to_owned() + " k",
        v => format!("{v:.0}"),
    }
}
