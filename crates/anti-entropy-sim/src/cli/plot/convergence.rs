//! The plot of rounds until all replicas are equal, by the number of replicas.

use std::error::Error;
use std::path::Path;

use anti_entropy_sim::measure::convergence::{ConvergenceRow, Writes};
use plotters::prelude::*;

use super::style::{COLOURS, SIZE, font};

type Drawing<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws the slowest run of each combination, one panel for one write and one for a burst.
pub(crate) fn draw(rows: &[ConvergenceRow], path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled("Rounds until all replicas are equal, slowest run (three peers a round)", font(30))?;
    let (left, right) = root.split_horizontally(SIZE.0 / 2);
    panel(&left, rows, Writes::One, "after one write")?;
    panel(&right, rows, Writes::Burst, "after 100 writes at random replicas")?;
    root.present()?;
    Ok(())
}

fn panel(area: &Drawing<'_>, rows: &[ConvergenceRow], writes: Writes, caption: &str) -> Result<(), Box<dyn Error>> {
    let log2 = |row: &ConvergenceRow| f64::from(row.nodes).log2();
    let widest = rows.iter().map(log2).fold(1.0, f64::max).ceil();
    let highest = rows.iter().map(|row| row.max_rounds).fold(widest + 1.0, f64::max).ceil() + 1.0;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, font(24))
        .margin(12)
        .x_label_area_size(56)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..widest + 0.5, 0.0..highest)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|log2| format!("{log2:.0}"))
        .y_label_formatter(&|rounds| format!("{rounds:.0}"))
        .x_desc("log₂ of the number of replicas")
        .y_desc("rounds (gossip intervals)")
        .label_style(font(18))
        .axis_desc_style(font(20))
        .draw()?;
    let steps = (0..=1000).map(|step| widest * f64::from(step) / 1000.0).map(|x| (x, x.ceil() + 1.0));
    let steps: Vec<(f64, f64)> = corners(&steps.collect::<Vec<_>>());
    chart
        .draw_series(LineSeries::new(steps, BLACK.mix(0.5).stroke_width(1)))?
        .label("⌈log₂ n⌉ + 1")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 28, y)], BLACK.mix(0.5).stroke_width(1)));
    let mut losses: Vec<f64> = rows.iter().map(|row| row.loss).collect();
    losses.sort_by(f64::total_cmp);
    losses.dedup();
    for push in [false, true] {
        for (loss, colour) in losses.iter().zip(COLOURS.iter().cycle()) {
            let of_line =
                |row: &&ConvergenceRow| row.workload == writes && row.push == push && row.loss.total_cmp(loss).is_eq();
            let points: Vec<(f64, f64)> = rows.iter().filter(of_line).map(|row| (log2(row), row.max_rounds)).collect();
            let style = colour.stroke_width(if push { 1 } else { 3 });
            let label = format!("{:.0} % loss, pushes {}", loss * 100.0, if push { "on" } else { "off" });
            chart
                .draw_series(LineSeries::new(points.clone(), style))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 28, y)], style));
            let dot = |point| Circle::new(point, 4, if push { colour.stroke_width(1) } else { colour.filled() });
            chart.draw_series(points.into_iter().map(dot))?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(font(18))
        .background_style(WHITE.mix(0.85))
        .legend_area_size(36)
        .margin(10)
        .draw()?;
    Ok(())
}

/// The points at which a step function turns.
fn corners(stair: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (index, point) in stair.iter().enumerate() {
        let flat = |other: Option<&(f64, f64)>| other.is_some_and(|other| other.1.total_cmp(&point.1).is_eq());
        let inside = index > 0 && flat(stair.get(index - 1)) && flat(stair.get(index + 1));
        if !inside {
            kept.push(*point);
        }
    }
    kept
}
