//! Which events `audit log` shows, of the trail and of other organizations' logs.

use jiff::Timestamp;

/// Which events `audit log` shows; what is none does not matter. Texts compare without case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    pub since: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
    pub actor: Option<String>,
    /// The command or its first words: `rotation` finds `rotation complete` too.
    pub command: Option<String>,
    pub run: Option<String>,
    pub stack: Option<String>,
    /// Part of the target's text: a repository finds its environments too.
    pub target: Option<String>,
    pub name: Option<String>,
    pub group: Option<String>,
    pub action: Option<String>,
    pub outcome: Option<String>,
}

/// What a [`Filter`] looks at, of an event of any log. What a log does not tell is none, and matches no filter for it.
#[derive(Debug, Clone, Copy)]
pub struct Told<'e> {
    pub time: Timestamp,
    pub actor: &'e str,
    pub command: Option<&'e str>,
    pub run: Option<&'e str>,
    pub stack: Option<&'e str>,
    pub target: Option<&'e str>,
    pub name: Option<&'e str>,
    pub group: Option<&'e str>,
    pub action: Option<&'e str>,
    pub outcome: Option<&'e str>,
}

impl Filter {
    #[must_use]
    pub fn takes(&self, event: &Told<'_>) -> bool {
        let same = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
        };
        let lower = |text: &str| text.to_ascii_lowercase();
        self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time < until)
            && same(&self.actor, Some(event.actor))
            && self.command.as_ref().is_none_or(|wanted| {
                let rest = event.command.and_then(|have| lower(have).strip_prefix(&lower(wanted)).map(str::to_owned));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
            && same(&self.run, event.run)
            && same(&self.stack, event.stack)
            && self
                .target
                .as_ref()
                .is_none_or(|wanted| lower(event.target.unwrap_or_default()).contains(&lower(wanted)))
            && same(&self.name, event.name)
            && same(&self.group, event.group)
            && same(&self.action, event.action)
            && same(&self.outcome, event.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_narrows_and_what_is_not_told_matches_none() {
        let time: Timestamp = "2026-05-28T20:26:40Z".parse().unwrap();
        let event = Told {
            time,
            actor: "octocat",
            command: Some("rotation complete"),
            run: Some("17.1"),
            stack: Some("production"),
            target: Some("payready/sophia · actions"),
            name: Some("OPENAI_API_KEY"),
            group: Some("api-keys"),
            action: Some("update"),
            outcome: Some("done"),
        };
        let silent = Told { command: None, run: None, stack: None, target: None, ..event };
        let silent = Told { name: None, group: None, action: None, outcome: None, ..silent };
        let filter = |set: fn(&mut Filter, Option<String>), text: &str| {
            let mut filter = Filter::default();
            set(&mut filter, Some(text.to_owned()));
            filter
        };
        type Set = fn(&mut Filter, Option<String>);
        let cases: [(Set, &str, &str); 9] = [
            (|filter, text| filter.command = text, "Rotation", "rotate"),
            (|filter, text| filter.run = text, "17.1", "17"),
            (|filter, text| filter.stack = text, "Production", "prod"),
            (|filter, text| filter.target = text, "PayReady/Sophia", "payready/web"),
            (|filter, text| filter.name = text, "openai_api_key", "OPENAI"),
            (|filter, text| filter.group = text, "API-keys", "keys"),
            (|filter, text| filter.action = text, "update", "create"),
            (|filter, text| filter.outcome = text, "done", "failed"),
            (|filter, text| filter.command = text, "rotation complete", "rotation complete x"),
        ];
        for (set, hit, miss) in cases {
            assert!(filter(set, hit).takes(&event), "{hit}");
            assert!(!filter(set, miss).takes(&event), "{miss}");
            assert!(!filter(set, hit).takes(&silent), "{hit}");
        }
        assert!(Filter::default().takes(&silent));
        assert!(filter(|filter, text| filter.actor = text, "OctoCat").takes(&silent));
        let second = std::time::Duration::from_secs(1);
        for (since, until, taken) in
            [(time, time + second, true), (time + second, time + second, false), (time - second, time, false)]
        {
            assert_eq!(Filter { since: Some(since), until: Some(until), ..Filter::default() }.takes(&event), taken);
        }
    }
}
