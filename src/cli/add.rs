//! `add`: a new secret, from the hidden prompt to the plan.

use std::path::Path;

use clap::Args;

use super::args::{ExposureArgs, FuseArgs, GitHubArgs, RunArgs, SourceArgs, StoreArgs, TargetArgs};
use super::connect::Session;
use super::door::Door;
use super::input;
use super::sync::{Intent, Run};
use super::template::TEMPLATE;
use crate::base::error::{Outcome, Problem};
use crate::base::target::EntryKind;
use crate::flow::add::{Places, Ready};
use crate::report::add::AddedAndPlan;
use crate::rules::add::Addition;

#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// Name at GitHub and in the definition, such as `NEW_API_KEY`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Secret group of the name
    #[arg(long, value_name = "NAME")]
    pub group: String,
    /// What the secret is for: goes to the definition and to env.example
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Keep it as a sealed secret, or as a plain Actions variable [default: secret]
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    pub kind: Option<EntryKind>,
    /// Make a value of so many random characters instead of asking for one; rotation may then make new ones
    #[arg(long, value_name = "LENGTH", value_parser = clap::value_parser!(u16).range(16..=4096))]
    pub generate: Option<u16>,
    /// ESC property path of the value [default: GROUP.NAME]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Let stacks do without a value
    #[arg(long)]
    pub optional: bool,
    /// Make the ESC environment if there is none
    #[arg(long)]
    pub create: bool,
    /// Show what would be done, ask for no value, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub github: GitHubArgs,
    #[command(flatten)]
    pub stores: StoreArgs,
}

fn parse_kind(text: &str) -> Result<EntryKind, String> {
    [EntryKind::Secret, EntryKind::Variable]
        .into_iter()
        .find(|kind| kind.word() == text)
        .ok_or_else(|| "expected secret or variable".to_owned())
}

/// Runs `add`. The plan is shown when everything is done; one that cannot be made is no failure of the addition.
///
/// # Errors
/// Those of [`Ready::check`] and [`Ready::carry_out`].
pub async fn add(args: AddArgs, session: &Session, door: &mut Door) -> Outcome<u8> {
    let definition = session.definition(door)?;
    let stack = session.stack(&definition)?.clone();
    let places = Places {
        definition: session.definition_path()?,
        template: Path::new(&definition.file).with_file_name(TEMPLATE),
    };
    let addition = Addition {
        name: args.name,
        group: args.group,
        description: args.description,
        path: args.path,
        kind: args.kind,
        optional: args.optional,
        generate: args.generate.map(usize::from),
    };
    let prompt = format!("Value of {} for stack {}: ", addition.name, stack.name);
    let ready = Ready::check(addition, &definition, &stack, places)?;
    if args.dry_run {
        door.report(&AddedAndPlan { added: &ready.report(), plan: None });
        return Ok(0);
    }
    let source = session.source(&args.source, door).await?;
    let value = match args.generate {
        Some(length) => ready.generated(&*source, usize::from(length)).await?,
        None => input::secret(&prompt)?,
    };
    door.mask(&ready.report().name, &value);
    let (added, warnings) = ready.carry_out(&*source, &value, args.create).await?;
    door.problems(&warnings);
    let run = RunArgs {
        exit_code: false,
        shard: None,
        source: args.source,
        github: args.github,
        targets: TargetArgs { stores: args.stores, groups: Vec::new(), exposure: ExposureArgs::default() },
        fuses: FuseArgs::usual(),
    };
    // The file has the new mapping now, and its warnings were told before.
    let definition = session.changed_definition()?;
    match Run::of(&definition, &stack, session, door, &run, Intent::default()).await {
        Ok(run) => {
            door.report(&AddedAndPlan { added: &added, plan: Some(run.report("plan")) });
            door.problems(run.warnings());
        }
        Err(failure) => {
            door.report(&AddedAndPlan { added: &added, plan: None });
            let problem = Problem::warning("add-no-plan", format!("no plan could be made: {failure}"));
            door.problems(&[problem.hint("it is added all the same; `plan` shows what `sync` would do")]);
        }
    }
    Ok(0)
}
