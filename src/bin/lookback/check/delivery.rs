//! Lints of the way from the input to the SIEM: storage, outputs, and what Fluent Bit's defaults lose.

use in_lookback::config::Plan;
use in_lookback::config::plan::DedupOn;
use in_lookback::config::units;

use super::Input;
use super::finding::{Finding, Severity};
use crate::config::{self, Config, Place, Section};

/// Outputs that cannot fail, so that nothing is to be tried again.
const NEVER_FAIL: &[&str] = &["counter", "exit", "null", "stdout"];

/// Ways to write that there is no limit to retries.
const NO_LIMITS: &[&str] = &["no_limits", "false", "off"];

pub(crate) fn lint(config: &Config, inputs: &[Input<'_>], findings: &mut Vec<Finding>) {
    for input in inputs {
        storage(config, input, findings);
        routes(config, input, findings);
        versions(config, input, findings);
    }
    let ours =
        |output: &&Section| inputs.iter().any(|input| tags(input).any(|tag| takes(output, tag)));
    for output in config.outputs.iter().filter(ours) {
        lossy(output, findings);
    }
}

fn storage(config: &Config, input: &Input<'_>, findings: &mut Vec<Finding>) {
    let place = input.place_of("storage.type");
    // From Fluent Bit 4 on, inputs may inherit the service's.
    let inherits =
        config.service("storage.inherit").is_some_and(|it| units::switch(it) == Ok(true));
    let inherited = config.service("storage.type").filter(|_| inherits);
    let kind = input.section.get("storage.type").or(inherited).unwrap_or("memory");
    if !kind.eq_ignore_ascii_case("filesystem") {
        let problem = format!(
            "storage.type is {kind}: what the SIEM has not taken yet is lost when Fluent Bit crashes or is killed"
        );
        let mend = "set storage.type: filesystem, and storage.path in the service";
        findings.push(Finding::new(Severity::Loss, place, problem, mend));
    } else if config.service("storage.path").is_none() {
        let problem = "storage.type is filesystem, but the service has no storage.path";
        let mend = "set storage.path in the service to a directory that Fluent Bit may write";
        findings.push(Finding::new(Severity::Error, place, problem, mend));
    }
}

/// The tags that an input's records come with.
fn tags<'i>(input: &'i Input<'_>) -> impl Iterator<Item = &'i str> {
    let health = input.plan.as_ref().ok().and_then(|plan| plan.health_tag.as_deref());
    [input.tag.as_str()].into_iter().chain(health)
}

/// Whether an output takes a tag, as far as one can tell: what a regular expression takes, Fluent Bit knows.
fn takes(output: &Section, tag: &str) -> bool {
    match output.get("match") {
        Some(pattern) => config::matches(pattern, tag),
        None => output.get("match_regex").is_some(),
    }
}

fn routes(config: &Config, input: &Input<'_>, findings: &mut Vec<Finding>) {
    let taken = |tag: &str| config.outputs.iter().any(|output| takes(output, tag));
    if !taken(&input.tag) {
        let problem =
            format!("no output takes the tag '{}': Fluent Bit drops the records", input.tag);
        let mend = format!("give an output `match: '{}'`", input.tag);
        findings.push(Finding::new(Severity::Loss, input.place_of("tag"), problem, mend));
    }
    let health = input.plan.as_ref().ok().and_then(|plan| plan.health_tag.as_deref());
    if let Some(tag) = health.filter(|tag| !taken(tag)) {
        let problem = format!("no output takes the tag '{tag}': nobody hears of trouble");
        let mend = format!("give an output `match: '{tag}'`");
        findings.push(Finding::new(Severity::Warning, input.place_of("health_tag"), problem, mend));
    }
}

/// A changed record has the id of what it was before.
fn versions(config: &Config, input: &Input<'_>, findings: &mut Vec<Finding>) {
    let by_content = |plan: &Plan| plan.dedup_on == DedupOn::Content;
    if !input.plan.as_ref().is_ok_and(by_content) {
        return;
    }
    for output in config.outputs.iter().filter(|output| takes(output, &input.tag)) {
        let operation = output.get("write_operation").unwrap_or("create");
        if output.get("id_key").is_some() && operation.eq_ignore_ascii_case("create") {
            let problem = format!(
                "output {}: write_operation is create: what dedup_on: content brings again, changed, is turned away, since its id is there",
                output.plugin
            );
            let mend = "set write_operation: index, or dedup_on: id";
            let place = place_of(output, "write_operation");
            findings.push(Finding::new(Severity::Loss, place, problem, mend));
        }
    }
}

fn lossy(output: &Section, findings: &mut Vec<Finding>) {
    let plugin = output.plugin.as_str();
    if !NEVER_FAIL.iter().any(|it| it.eq_ignore_ascii_case(plugin)) {
        let limit = output.get("retry_limit").unwrap_or("1, the default");
        if !NO_LIMITS.iter().any(|it| it.eq_ignore_ascii_case(limit)) {
            let problem = format!(
                "output {plugin}: retry_limit is {limit}: when the SIEM is away for longer, Fluent Bit drops what waits"
            );
            let place = place_of(output, "retry_limit");
            findings.push(Finding::new(
                Severity::Loss,
                place,
                problem,
                "set retry_limit: no_limits",
            ));
        }
    }
    if let Some(limit) = output.get("storage.total_limit_size") {
        let problem = format!(
            "output {plugin}: storage.total_limit_size is {limit}: at that size Fluent Bit drops the oldest chunks"
        );
        let mend =
            "remove it and give the disk room, or set it to more than the longest outage brings";
        let place = place_of(output, "storage.total_limit_size");
        findings.push(Finding::new(Severity::Warning, place, problem, mend));
    }
}

/// Where a property stands, else where its section begins.
pub(crate) fn place_of<'s>(section: &'s Section, key: &str) -> &'s Place {
    let property = section.properties.iter().find(|it| it.key.eq_ignore_ascii_case(key));
    property.map_or(&section.place, |it| &it.place)
}
