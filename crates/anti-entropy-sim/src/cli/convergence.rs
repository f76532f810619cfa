//! `convergence`: measures the rounds until all replicas are equal.

use std::error::Error;
use std::path::PathBuf;

use anti_entropy_sim::measure::convergence::{self, ConvergenceSettings};
use clap::Args;

use super::{output, plot};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Numbers of nodes, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "3,10,30,100,300,1000,3000,10000",
        value_parser = clap::value_parser!(u32).range(2..))]
    nodes: Vec<u32>,
    /// How many runs each combination has, each with a seed of its own.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// With more nodes than this, divide the number of runs by the ratio, down to one, so that all sizes take about as long.
    #[arg(long, default_value_t = 0)]
    thin_above: u32,
    /// Which fractions of all frames are lost, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "0,0.1,0.3", value_parser = permille)]
    loss: Vec<u16>,
    /// The seed of the first run; the others have those after it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw a plot into this file, in SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
}

fn permille(part: &str) -> Result<u16, String> {
    let part: f64 = part.parse().map_err(|_| "not a number".to_owned())?;
    let fits = (0.0..1.0).contains(&part);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    if fits { Ok((part * 1000.0).round() as u16) } else { Err("not at least 0 and less than 1".to_owned()) }
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let settings = ConvergenceSettings {
            nodes: self.nodes.clone(),
            loss_permille: self.loss.clone(),
            runs: self.runs,
            thin_above: self.thin_above,
            seed: self.seed,
        };
        let bar = output::progress(settings.work(), "nodes");
        let rows = convergence::measure(&settings, &|work| bar.inc(work))?;
        bar.finish_and_clear();
        let columns =
            ["nodes", "loss", "push", "workload", "runs", "median_rounds", "p99_rounds", "p999_rounds", "max_rounds"];
        output::print(&rows, self.json, &columns);
        self.plot.as_ref().map_or(Ok(()), |path| plot::convergence(&rows, path))
    }
}
