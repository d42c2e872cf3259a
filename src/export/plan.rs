//! What will be done, and the report of a run that only plans: nothing is changed.

use super::report::{Plan, Report};
use super::run::{Fate, ORDER, PLANNED, Run};
use super::synthetic::counts;
use crate::model::ObjectType;

impl Run<'_> {
    /// What will be done.
    pub(super) fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        for kind in ORDER {
            if kind == ObjectType::Email {
                self.plan_mail(&mut plan);
            } else if let Some(work) = self.works.get(&kind) {
                let step = plan.of(kind);
                let open = |at: &usize| matches!(work.fates[*at], Fate::Pending | Fate::Matched);
                let choice = self.choice(kind);
                for at in (0..work.wanted.len()).filter(open) {
                    let becomes = choice.as_ref().filter(|choice| {
                        // That the first one of its type becomes the default is nothing to be named.
                        choice.at == at && (work.found[at].is_some() || choice.replaced.is_some())
                    });
                    let becomes = becomes.map(|choice| choice.words);
                    let label = || self.path(kind, &work.wanted[at]) + becomes.unwrap_or_default();
                    match work.found[at] {
                        None => step.create(label),
                        Some(_) if becomes.is_some() || self.patch(kind, at).is_some() => step.update(label),
                        Some(_) => step.keep += 1,
                    }
                }
            }
            if self.prunable.contains(&kind) {
                for (_, label) in self.gone(kind).concat() {
                    plan.of(kind).remove(|| label);
                }
            }
        }
        plan
    }

    /// The report of a run that only plans.
    pub(super) fn planned(mut self) -> Report {
        for kind in self.works.keys().copied().collect::<Vec<ObjectType>>() {
            let chosen = self.choice(kind).map(|choice| choice.at);
            for at in 0..self.works[&kind].wanted.len() {
                let work = &self.works[&kind];
                let is_open = matches!(work.fates[at], Fate::Pending | Fate::Matched);
                if !is_open || !counts(work.wanted[at].id) {
                    continue;
                }
                if work.found[at].is_none() {
                    let one = &work.wanted[at];
                    let remark = one.draft.remark.clone().map(|remark| (remark, self.path(kind, one)));
                    self.report.of(kind).created += 1;
                    remark.into_iter().for_each(|(remark, label)| self.report.remark(kind, PLANNED, remark, label));
                } else if self.patch(kind, at).is_some() || chosen == Some(at) {
                    self.report.of(kind).updated += 1;
                } else {
                    self.count_kept(kind, at);
                }
            }
        }
        self.planned_mail();
        std::mem::take(&mut self.report)
    }
}
