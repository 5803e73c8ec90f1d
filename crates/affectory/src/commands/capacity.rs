//! `affectory capacity`: how long will it take, and what will it need?

use affectory_capacity::{
    BUILT_IN, EXACT, Needs, Outcome, Plan, Rates, Resource, fluid, needs, simulate, stay_behind, workers_for,
};
use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Context, shown};
use crate::cli::Capacity;

const DAY_S: f64 = 86_400.0;

pub fn run(context: &Context, args: &Capacity) -> anyhow::Result<()> {
    if args.show_rates {
        return context.print(BUILT_IN, &serde_json::to_value(Rates::built_in())?);
    }
    if let Some(days) = args.days.filter(|days| !(0.001..=100_000.0).contains(days)) {
        bail!("--days {days} is outside 0.001 to 100000");
    }
    let rates = match &args.rates {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", shown(path)))?;
            Rates::parse(&text).with_context(|| format!("failed to use the rates in {}", shown(path)))?
        }
        None => Rates::built_in(),
    };
    let mut answers = Vec::new();
    for &candidates in &args.candidates {
        for &workers in &args.workers {
            let fitting = (candidates as f64 / rates.assumed.candidates_per_host).ceil() as u64;
            let hosts = args.hosts.unwrap_or_else(|| fitting.clamp(1, 100_000_000)).min(candidates);
            let plan = Plan::with_workers(candidates, hosts, (workers, args.cores), args.seed);
            answers.push(Answer::to(plan, &rates, args.days));
        }
    }
    let most = args.workers.iter().copied().max().unwrap_or(1);
    let million = needs(1_000_000, most, &rates);
    let text = format!(
        "{}\n{}\n{}",
        times(&answers),
        costs(&million),
        sizes(args.candidates.iter().copied(), &answers, &rates)
    );
    let document = json!({
        "rates": rates, "answers": answers.iter().map(|answer| answer.json(&rates)).collect::<Vec<_>>(),
        "per_million": million,
    });
    context.print(&text, &document)
}

/// A plan and its end.
struct Answer {
    plan: Plan,
    bounds: affectory_capacity::Fluid,
    /// By how much the program stays behind its bounds.
    behind: f64,
    /// If it was simulated as a whole.
    exact: Option<Outcome>,
    marks_s: [f64; 3],
    /// Workers for the days that were asked for, or what stands against it.
    wanted: Option<Result<u32, (Resource, f64)>>,
}

impl Answer {
    fn to(plan: Plan, rates: &Rates, days: Option<f64>) -> Answer {
        let bounds = fluid(&plan, rates);
        let exact = (plan.candidates <= EXACT).then(|| simulate(&plan, rates));
        let behind = if exact.is_some() && days.is_none() { 1.0 } else { stay_behind(&plan, rates) };
        // Faces are searched behind the last fetches: that end counts.
        let marks_s = match &exact {
            Some(Outcome { marks_s: [part, most, _], seconds, .. }) => [*part, *most, *seconds],
            None => bounds.marks_s(behind),
        };
        let wanted = days.map(|days| workers_for(&plan, rates, days * DAY_S, behind));
        Answer { plan, bounds, behind, exact, marks_s, wanted }
    }

    /// Share of the time until the end for which a resource is in use: its own bound over that.
    fn used(&self, resource: Resource) -> f64 {
        let bound = self.bounds.bounds.iter().find(|bound| bound.resource == resource);
        bound.map_or(0.0, |bound| bound.seconds / self.marks_s[2] * 100.0)
    }

    fn json(&self, rates: &Rates) -> serde_json::Value {
        let wanted = self.wanted.as_ref().map(|wanted| match wanted {
            Ok(workers) => json!({ "workers": workers }),
            Err((resource, seconds)) => json!({ "never": resource, "seconds": seconds }),
        });
        json!({
            "plan": self.plan, "bounds": self.bounds, "behind": self.behind, "simulated": self.exact,
            "marks_s": self.marks_s, "for_days": wanted, "needs": needs(self.plan.candidates, self.plan.workers, rates),
        })
    }
}

fn times(answers: &[Answer]) -> String {
    let mut text = "| addresses | hosts | workers | 90 % after | 99 % after | all after | too little of | cores | \
                    catalogue | network | largest host | late hosts, their addresses |\n\
                    |---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for answer in answers {
        let Answer { plan, bounds, marks_s: [part, most, all], .. } = answer;
        let late = bounds.late_candidates as f64 / plan.candidates as f64 * 100.0;
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} | {:.0} % | {:.1} % | {:.0} % | {} | {}, {late:.0} % |\n",
            count(plan.candidates as f64),
            count(plan.hosts as f64),
            plan.workers,
            time(*part),
            time(*most),
            time(*all),
            bounds.bottleneck().map_or("nothing", Resource::name),
            answer.used(Resource::Cores),
            answer.used(Resource::Catalogue),
            answer.used(Resource::Network),
            count(bounds.largest_host as f64),
            count(bounds.late_hosts as f64),
        );
    }
    text += &format!(
        "\nLate hosts: those that, asked at their pace without a break, outlast what the machines need for everything. Up to {} \
         addresses are simulated event by event; more are calculated.\n",
        count(EXACT as f64)
    );
    let mut last = 0;
    for Answer { plan, wanted, .. } in answers.iter().filter(|answer| answer.wanted.is_some()) {
        // It does not depend on the workers that there are.
        if std::mem::replace(&mut last, plan.candidates) != plan.candidates {
            let addresses = count(plan.candidates as f64);
            text += &match wanted {
                Some(Err((resource, seconds))) => {
                    format!("{addresses} in so many days: never; {} takes {}\n", resource.name(), time(*seconds))
                }
                Some(Ok(workers)) => format!("{addresses} in so many days: workers needed: {workers}\n"),
                None => String::new(),
            };
        }
    }
    text
}

fn costs(million: &Needs) -> String {
    let mut text = "For a million addresses:\n\n| stage | CPU | received | stored | PUT | GET | rows | transactions | SQLite | \
                    PostgreSQL | messages | their bytes |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for cost in &million.stages {
        text += &format!(
            "| {} | {:.1} h | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            cost.stage,
            cost.cpu_h,
            bytes(cost.received_bytes),
            bytes(cost.stored_bytes),
            count(cost.puts),
            count(cost.gets),
            count(cost.rows),
            count(cost.commits),
            bytes(cost.sqlite_bytes),
            bytes(cost.postgres_bytes),
            count(cost.messages),
            bytes(cost.message_bytes),
        );
    }
    text
}

fn sizes(candidates: impl Iterator<Item = u64>, answers: &[Answer], rates: &Rates) -> String {
    let mut text = "For all of it:\n\n| addresses | CPU | images and crops | PUT, GET | PostgreSQL | tables in parts | messages | \
                    workers: connections |\n|---:|---:|---:|---:|---:|---:|---:|---|\n"
        .to_owned();
    for n in candidates {
        let needs_of = |workers| needs(n, workers, rates);
        let all = needs_of(1);
        let sum = |of: fn(&affectory_capacity::StageCost) -> f64| all.stages.iter().map(of).sum::<f64>();
        let with = answers.iter().filter(|answer| answer.plan.candidates == n).map(|answer| answer.plan.workers);
        let connections: Vec<String> =
            with.map(|workers| format!("{workers}: {}", needs_of(workers).connections)).collect();
        text += &format!(
            "| {} | {} core hours | {} | {}, {} | {} | {} | {} | {} |\n",
            count(n as f64),
            count(sum(|cost| cost.cpu_h)),
            bytes(sum(|cost| cost.stored_bytes)),
            count(sum(|cost| cost.puts)),
            count(sum(|cost| cost.gets)),
            bytes(sum(|cost| cost.postgres_bytes)),
            all.partitions,
            count(sum(|cost| cost.messages)),
            connections.join(", "),
        );
    }
    text
}

/// A time in the unit that one would say it in.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 2.0 * DAY_S => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / DAY_S),
    }
}

/// A number to three digits or so.
fn count(n: f64) -> String {
    match n {
        n if n < 10_000.0 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.0} k", n / 1e3),
        n if n < 1e9 => format!("{} M", short(n / 1e6)),
        n => format!("{} G", short(n / 1e9)),
    }
}

fn bytes(n: f64) -> String {
    match n {
        n if n < 1.0 => "0".to_owned(),
        n if n < 1e6 => format!("{:.0} kB", n / 1e3),
        n if n < 1e9 => format!("{:.0} MB", n / 1e6),
        n if n < 1e12 => format!("{} GB", short(n / 1e9)),
        n => format!("{} TB", short(n / 1e12)),
    }
}

/// One digit after the point where it says something.
fn short(n: f64) -> String {
    if n < 100.0 && (n - n.round()).abs() >= 0.05 { format!("{n:.1}") } else { format!("{n:.0}") }
}
