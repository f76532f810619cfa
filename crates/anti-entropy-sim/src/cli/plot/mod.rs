//! Pictures of results, in SVG.

mod bandwidth;
mod convergence;

pub(super) use bandwidth::draw as bandwidth;
pub(super) use convergence::draw as convergence;

use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor};

/// In pixels.
const SIZE: (u32, u32) = (1200, 800);

/// Told apart by those who do not see all colours too (Okabe, Ito, "Color Universal Design", 2008).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

fn font(size: i32) -> FontDesc<'static> {
    FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal)
}
