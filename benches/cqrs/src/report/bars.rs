//! A bar chart with a logarithmic axis, as SVG text: a bar per strategy.

use super::is_ours;
use cenote_bench_support::numbers::human;

const WIDTH: f64 = 560.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 80.0;
const LINE: f64 = 20.0;

/// The chart as a figure; none where there is nothing to draw.
pub(super) fn bars(caption: &str, unit: &str, values: &[(&str, f64)]) -> Option<String> {
    let values: Vec<_> = values.iter().filter(|(_, value)| *value > 0.0).collect();
    let low = values.iter().map(|(_, value)| value.log10()).fold(f64::MAX, f64::min);
    let high = values.iter().map(|(_, value)| value.log10()).fold(f64::MIN, f64::max);
    if values.is_empty() {
        return None;
    }
    // Half a power of ten below the lowest, so that its bar can be seen.
    let (low, high) = (low - 0.5, high.max(low + 0.1));
    let mut svg = String::new();
    for (number, (system, value)) in values.iter().enumerate() {
        let y = number as f64 * LINE;
        let length = (value.log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT);
        let color = if is_ours(system) { "#0b6e99" } else { "#c98a4b" };
        svg += &format!(
            "<text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{system}</text><rect x=\"{LEFT}\" y=\"{:.0}\" \
             width=\"{length:.1}\" height=\"14\" fill=\"{color}\"/><text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LEFT - 8.0,
            y + 13.0,
            y + 2.0,
            LEFT + length + 6.0,
            y + 13.0,
            show(*value, unit),
        );
    }
    let height = values.len() as f64 * LINE + 4.0;
    Some(format!(
        "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">{svg}</svg></figure>\n"
    ))
}

fn show(value: f64, unit: &str) -> String {
    match unit {
        "count" | "1/s" => super::tables::short(value),
        unit => human(value, unit),
    }
}
