//! What is told while a run goes on: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::flow::context::Event;

/// Tells events on stderr.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    /// A bar when stderr is a terminal and not that of a job.
    #[must_use]
    pub fn new(quiet: bool, in_a_job: bool) -> Self {
        let bar = (!quiet && !in_a_job && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}");
            ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, quiet }
    }

    pub fn tell(&self, event: Event<'_>) {
        match event {
            Event::Stepped { done, of } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(of as u64);
                    bar.set_position(done as u64);
                }
            }
            Event::Deleting { target, name } => self.line(&format!("deleting {name} from {target}")),
        }
    }

    fn line(&self, text: &str) {
        let write = || {
            let _ = writeln!(anstream::stderr(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None if !self.quiet => write(),
            None => {}
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
