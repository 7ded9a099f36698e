//! The scenario harness: one file is a world, a script, and what it must come to.

mod compare;
mod markers;
mod normal;
mod script;
mod world;

use std::path::Path;

use markers::Markers;
use script::{Expected, Step};
use world::World;

/// Runs one scenario; answers what is wrong with it.
pub async fn run(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let (scenario, expected) = match script::parse(&text) {
        Ok(parsed) => parsed,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    let markers = Markers::of(&script::story(&text));
    let mut world = match World::new(&scenario).await {
        Ok(world) => world,
        Err(problem) => return vec![problem],
    };
    let mut seen = Expected::default();
    for (index, step) in scenario.steps.iter().enumerate() {
        match step {
            Step::Run(command) => {
                let (result, raw) = match world.run(command).await {
                    Ok(done) => done,
                    Err(problem) => {
                        problems.push(format!("step {}: {problem}", index + 1));
                        break;
                    }
                };
                for (stream, bytes) in [("stdout", &raw.stdout), ("stderr", &raw.stderr)] {
                    if stream == "stdout" && command.plaintext {
                        continue;
                    }
                    for found in markers.search(&normal::without_masks(bytes)) {
                        problems.push(format!("LEAK in {stream} of step {} ({}): {found}", index + 1, result.run));
                    }
                }
                seen.steps.push(result);
            }
            other => {
                if let Err(problem) = world.change(other) {
                    problems.push(format!("step {}: {problem}", index + 1));
                    break;
                }
            }
        }
    }
    problems.extend(world.leaks(&markers, &scenario));
    seen.github = world.github();
    seen.files = world.files(&scenario);
    let actual = script::write_expected(&seen);
    let matches = expected.as_deref().is_some_and(|expected| expected == actual);
    if matches || !problems.is_empty() {
        return problems;
    }
    if std::env::var_os("SOPHIA_ACCEPT").is_some_and(|value| value == "1") {
        std::fs::write(path, format!("{}---\n{actual}", script::story(&text))).unwrap();
        return problems;
    }
    let expected = expected.unwrap_or_default();
    problems.push(format!("{}\nSOPHIA_ACCEPT=1 accepts this", compare::difference(&expected, &actual)));
    problems
}
