//! The plot of what a node sends over time.

use std::error::Error;
use std::path::Path;

use anti_entropy_sim::measure::bandwidth::{BandwidthReport, Minute};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::style::{COLOURS, SIZE, font, grouped};

type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Plane>;

/// Draws the bytes of values on top of all other bytes.
pub(crate) fn draw(report: &BandwidthReport, path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!(
        "What each of {} replicas sends ({} entries of {} bytes, {} changes, pushes {})",
        grouped(f64::from(report.nodes)),
        grouped(f64::from(report.entries)),
        report.value_bytes,
        report.changes,
        if report.push { "on" } else { "off" },
    );
    let total = |minute: &Minute| minute.digest_bytes_per_s + minute.value_bytes_per_s;
    let highest = report.minutes.iter().map(total).fold(1.0, f64::max) * 1.15;
    let last = report.minutes.last().map_or(1.0, |minute| minute.minute);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, font(26))
        .margin(16)
        .x_label_area_size(56)
        .y_label_area_size(84)
        .build_cartesian_2d(0.0..last, 0.0..highest)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|minute| grouped(*minute))
        .y_label_formatter(&|bytes| grouped(*bytes))
        .x_desc("simulated time (minutes)")
        .y_desc("bytes a second and replica, averaged over a minute")
        .label_style(font(18))
        .axis_desc_style(font(20))
        .draw()?;
    // What is drawn first is behind.
    layer(&mut chart, "values", COLOURS[1], stairs(&report.minutes, total))?;
    let digest = |minute: &Minute| minute.digest_bytes_per_s;
    layer(&mut chart, "all else: roots, digests, clocks, headers", COLOURS[0], stairs(&report.minutes, digest))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(font(20))
        .background_style(WHITE.mix(0.85))
        .legend_area_size(36)
        .margin(10)
        .draw()?;
    root.present()?;
    Ok(())
}

fn layer<'a, 'b>(
    chart: &mut Chart<'a, 'b>,
    label: &str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
) -> Result<(), Box<dyn Error>>
where
    'b: 'a,
{
    let style = colour.mix(0.9);
    chart
        .draw_series(AreaSeries::new(points, 0.0, style).border_style(colour.stroke_width(1)))?
        .label(label)
        .legend(move |(x, y)| Rectangle::new([(x, y - 8), (x + 28, y + 8)], style.filled()));
    Ok(())
}

/// The points of a step function with a step for each interval.
fn stairs(minutes: &[Minute], height: impl Fn(&Minute) -> f64) -> Vec<(f64, f64)> {
    let starts = core::iter::once(0.0).chain(minutes.iter().map(|minute| minute.minute));
    let steps = starts.zip(minutes);
    steps.flat_map(|(start, minute)| [(start, height(minute)), (minute.minute, height(minute))]).collect()
}
