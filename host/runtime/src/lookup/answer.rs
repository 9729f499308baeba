use std::sync::Arc;

use oast_core::{Status, Timestamp};
use serde_json::Value as Json;

use super::{Entity, LookupResponse, LookupRow, Moment, RowError};
use crate::{
    json,
    receipt::Receipt,
    service::{Answer, Service},
};

/// What a lookup found, not yet in the form in which it is sent: [`Self::response`] for JSON, [`Self::arrow_stream`] for a table.
pub struct LookupAnswer {
    pub(crate) service: Arc<Service>,
    pub(crate) time: Timestamp,
    pub(crate) offset: u64,
    /// Why rows were rejected as a whole.
    pub(crate) errors: Vec<Option<RowError>>,
    /// For each view, the event time of the newest event behind each row.
    pub(crate) newest: Vec<Vec<Option<Timestamp>>>,
    pub(crate) answer: Answer,
    pub(crate) receipt: Option<Receipt>,
}

impl LookupAnswer {
    pub(crate) fn new(service: Arc<Service>, entities: &[Entity], moment: Moment, answer: Answer) -> Self {
        Self {
            service,
            time: moment.time,
            offset: moment.offset,
            errors: entities.iter().map(|entity| entity.error.clone()).collect(),
            newest: moment.views.into_iter().map(|features| features.newest).collect(),
            answer,
            receipt: None,
        }
    }

    /// How many entities were looked up.
    pub fn rows(&self) -> usize {
        self.errors.len()
    }

    /// The service.
    pub fn service(&self) -> &str {
        &self.service.spec.name
    }

    /// How many values have each status, of those that any has.
    pub fn statuses(&self) -> Vec<(Status, u64)> {
        let mut counts = Status::ALL.map(|status| (status, 0));
        for statuses in &self.answer.statuses {
            for (status, error) in statuses.iter().zip(&self.errors) {
                let status = if error.is_some() { Status::Rejected } else { *status };
                counts.iter_mut().filter(|(counted, _)| *counted == status).for_each(|(_, count)| *count += 1);
            }
        }
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// The answer as it is sent in JSON.
    pub fn response(&self) -> LookupResponse {
        LookupResponse {
            service: self.service.spec.name.clone(),
            version: self.service.version,
            time: self.time.to_string(),
            offset: self.offset,
            features: self.service.names(),
            rows: (0..self.rows()).map(|row| self.row(row)).collect(),
            receipt: self.receipt.clone(),
        }
    }

    fn row(&self, row: usize) -> LookupRow {
        if let Some(error) = &self.errors[row] {
            return LookupRow {
                values: vec![Json::Null; self.answer.columns.len()],
                status: vec![Status::Rejected; self.answer.columns.len()],
                event_times: Default::default(),
                error: Some(error.clone()),
            };
        }
        let views = self.service.views.iter().zip(&self.newest);
        let event_time = |newest: &[Option<Timestamp>]| newest[row].map(|time| time.to_string());
        LookupRow {
            values: self.answer.columns.iter().map(|column| json::to_json(column.get(row).as_ref())).collect(),
            status: self.answer.statuses.iter().map(|statuses| statuses[row]).collect(),
            event_times: views.map(|(view, newest)| (view.spec.name.clone(), event_time(newest))).collect(),
            error: None,
        }
    }
}
