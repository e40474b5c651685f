//! A bar chart with a logarithmic axis, drawn by `plotters` as SVG: a bar per strategy.

use cenote_bench_support::numbers::{human, short};
use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::is_cenote;

const WIDTH: u32 = 560;
/// Where bars begin: to the left are the names.
const LEFT: i32 = 150;
/// Room for the value after the longest bar.
const RIGHT: i32 = 80;
/// The height of a bar with the gap below.
const LINE: i32 = 20;
const BAR: i32 = 14;
const TEXT: RGBColor = RGBColor(0x4a, 0x58, 0x68);
const CENOTE: RGBColor = RGBColor(0x0b, 0x6e, 0x99);
const OTHER: RGBColor = RGBColor(0xc9, 0x8a, 0x4b);
const FONT: (&str, u32) = ("system-ui, sans-serif", 11);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The chart as an HTML figure; `None` if there is nothing to draw. Values at zero or below are left out.
pub(super) fn bars(caption: &str, unit: &str, values: &[(&str, f64)]) -> Option<Markup> {
    let values: Vec<_> = values.iter().copied().filter(|(_, value)| *value > 0.0).collect();
    if values.is_empty() {
        return None;
    }
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, values.len() as u32 * LINE as u32 + 4)).into_drawing_area();
    draw(&area, unit, &values).expect("drawing to a text does not fail");
    drop(area);
    Some(html! { figure { figcaption { (caption) } (PreEscaped(svg)) } })
}

fn draw(area: &Area<'_>, unit: &str, values: &[(&str, f64)]) -> Drawn {
    let logarithms = || values.iter().map(|(_, value)| value.log10());
    // Half a power of ten below the lowest, so that its bar is visible.
    let low = logarithms().fold(f64::MAX, f64::min) - 0.5;
    let high = logarithms().fold(f64::MIN, f64::max);
    let longest = f64::from(WIDTH as i32 - LEFT - RIGHT);
    let label = FONT.into_font().color(&TEXT);
    for (&(system, value), top) in values.iter().zip((0..).step_by(LINE as usize)) {
        let end = LEFT + ((value.log10() - low) / (high - low) * longest) as i32;
        let middle = top + LINE / 2;
        let color = if is_cenote(system) { CENOTE } else { OTHER };
        let bar = [(LEFT, middle - BAR / 2), (end, middle + BAR / 2)];
        area.draw(&Rectangle::new(bar, color.filled()))?;
        let name = label.clone().pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(system, (LEFT - 8, middle), name))?;
        let number = label.clone().pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(show(value, unit), (end + 6, middle), number))?;
    }
    Ok(())
}

fn show(value: f64, unit: &str) -> String {
    match unit {
        "count" | "1/s" => short(value),
        unit => human(value, unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_above_zero_has_a_bar() {
        let svg = bars("reads", "ns", &[("cenote", 94.0), ("outbox", 9_400.0), ("none", 0.0)]).unwrap().into_string();
        for expected in ["<figcaption>reads", "cenote", "94.0 ns", "outbox", "9.40 µs"] {
            assert!(svg.contains(expected), "{expected} in {svg}");
        }
        assert!(!svg.contains("none<") && svg.matches("<rect").count() == 2, "{svg}");
        assert!(bars("nothing", "ns", &[("none", 0.0)]).is_none());
    }
}
