//! Plots of the comparison as SVG files.

#[path = "../../../anti-entropy-sim/src/cli/plot/style.rs"]
mod style;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use self::style::{COLOURS, SIZE, font, grouped};
use super::data::Data;
use super::{Found, Row, float};

/// A line of a plot: its label, and its points in ascending order.
type Line = (String, Vec<(f64, f64)>);

/// Plots bytes and processor time over the number of differences, for the most entries, and bytes over the number of
/// entries.
pub(crate) fn draw(rows: &[Row], directory: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    let entries = rows.iter().map(|row| row.entries).max().unwrap_or(0);
    let over_differences = |figure: fn(&Found) -> f64| {
        lines(rows, |row| (row.entries == entries && row.differences > 0).then_some(row.differences), figure)
    };
    let differences = "keys that differ";
    let mut bytes = over_differences(|found| float(found.bytes));
    let counts: BTreeSet<u64> = rows.iter().map(|row| row.differences).filter(|&count| count > 0).collect();
    let floor = counts.into_iter().map(|count| (float(count), Data::floor_bytes(count))).collect();
    bytes.push(("least possible".to_string(), floor));
    let title = format!("Bytes to find what differs of {} entries", grouped(float(entries)));
    let (below, above) = (SeriesLabelPosition::LowerRight, SeriesLabelPosition::UpperLeft);
    chart(&directory.join("peers_bytes.svg"), [&title, differences, BYTES], below.clone(), &bytes)?;
    let title = format!("Processor time to find what differs of {} entries", grouped(float(entries)));
    let cpu = over_differences(|found| found.cpu_us);
    let microseconds = "microseconds, both sides";
    chart(&directory.join("peers_cpu.svg"), [&title, differences, microseconds], below, &cpu)?;
    let at_ten = |row: &Row| (row.differences == 10).then_some(row.entries);
    let bytes = lines(rows, at_ten, |found| float(found.bytes));
    let title = "Bytes to find ten keys that differ";
    chart(&directory.join("peers_entries.svg"), [title, "entries", BYTES], above, &bytes)
}

const BYTES: &str = "bytes, both directions";

/// A line for each library, of the rows for which `place` gives an x coordinate.
fn lines(rows: &[Row], place: impl Fn(&Row) -> Option<u64>, figure: fn(&Found) -> f64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        if lines.iter().all(|(label, _)| label != row.peer) {
            lines.push((row.peer.to_string(), Vec::new()));
        }
        let line = lines.iter_mut().find(|(label, _)| label == row.peer);
        if let (Some((_, points)), Some(found), Some(place)) = (line, row.found(), place(row)) {
            points.push((float(place), figure(found)));
        }
    }
    lines
}

/// Draws a plot with logarithmic axes; none if there are no points.
fn chart(
    path: &Path,
    [title, x, y]: [&str; 3],
    legend: SeriesLabelPosition,
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    let range = |coordinate: fn(&(f64, f64)) -> f64| {
        let all = lines.iter().flat_map(|(_, points)| points).map(coordinate);
        all.fold(None, |range, value| {
            let (least, greatest) = range.unwrap_or((value, value));
            Some((value.min(least), value.max(greatest)))
        })
    };
    let (Some(over), Some(up)) = (range(|point| point.0), range(|point| point.1)) else { return Ok(()) };
    let decades = 10_f64.powf(up.0.log10().floor())..10_f64.powf(up.1.log10().ceil());
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, font(28))
        .margin(16)
        .x_label_area_size(56)
        .y_label_area_size(140)
        .build_cartesian_2d((over.0 * 0.9..over.1 * 1.1).log_scale(), decades.log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|number| grouped(*number))
        .y_label_formatter(&|number| grouped(*number))
        .x_desc(x)
        .y_desc(y)
        .label_style(font(18))
        .axis_desc_style(font(20))
        .draw()?;
    for (index, (label, points)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let ours = label.starts_with("anti-entropy");
        let style = colour.stroke_width(if ours { 4 } else { 2 });
        chart
            .draw_series(LineSeries::new(points.clone(), style))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 28, y)], style));
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 4, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(legend)
        .label_font(font(18))
        .background_style(WHITE.mix(0.85))
        .legend_area_size(36)
        .margin(10)
        .draw()?;
    root.present()?;
    Ok(())
}
