//! `mutants`: which checker finds which planted bug, and after how many seeds.

use std::error::Error;

use anti_entropy_sim::planted::{Hunt, Kill, Planted, planted};

use super::output;

/// Plants bugs one after the other, and says which checker finds each after how many seeds.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only bugs whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
    /// How many seeds of each kind of scenario are run without a bug, to see that nothing is found then.
    #[arg(long, default_value_t = 200)]
    sound: u64,
    /// Prints the results as lines of JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let all: Vec<_> = planted().into_iter().filter(|bug| bug.name().contains(&self.only)).collect();
        let bar = output::progress(all.len() as u64, "bugs");
        // Broken code may panic, which is found as well; what it says is of no interest.
        std::panic::set_hook(Box::new(|_| {}));
        let mut kills: Vec<Kill> = Vec::new();
        for bug in &all {
            kills.extend(bug.hunt());
            bar.inc(1);
        }
        let _ = std::panic::take_hook();
        bar.finish_and_clear();
        output::print(&kills, self.json, &["bug", "checker", "seeds", "within"]);
        let missed: Vec<String> = kills
            .iter()
            .filter(|kill| kill.is_missed())
            .map(|kill| format!("{} by {}", kill.bug, kill.checker))
            .collect();
        eprintln!("{} bugs, {} of what has to find them did not: {missed:?}", all.len(), missed.len());
        if !missed.is_empty() {
            return Err("a planted bug was not found".into());
        }
        self.check_soundness(&all)
    }

    /// Of the scenarios in which these bugs were looked for.
    fn check_soundness(&self, bugs: &[Planted]) -> Result<(), Box<dyn Error>> {
        let is_used = |hunt: &Hunt| bugs.iter().any(|bug| bug.hunt == *hunt);
        for hunt in Hunt::all().into_iter().filter(is_used) {
            for seed in 0..self.sound {
                if let Some(violation) = hunt.sound(seed).first() {
                    return Err(format!("without a bug, {hunt:?} seed {seed}: {violation}").into());
                }
            }
        }
        eprintln!("the same scenarios without a bug, {} seeds of each kind: nothing was found", self.sound);
        Ok(())
    }
}
