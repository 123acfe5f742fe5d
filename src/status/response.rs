//! Answers requests: the pages, the JSON endpoints and the metrics.

use std::sync::Arc;

use serde::Serialize;

use super::job_details::JobDetails;
use super::metrics::metrics;
use super::page;
use super::recorder::Recorder;
use super::request::{Refusal, Request};
use super::stage_drawing::stage_drawing;
use super::views::Overview;

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// A response, which ends its connection.
pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Response {
    fn ok(content_type: &'static str, body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type,
            body: body.into(),
        }
    }

    pub(super) fn refused((status, reason): Refusal) -> Self {
        Self {
            status,
            content_type: PLAIN,
            body: format!("{reason}\n"),
        }
    }

    /// Returns the response to a request.
    pub(super) fn to(request: &Request, recorder: &Recorder) -> Self {
        match &*request.path {
            "/" => Self::ok(HTML, page::PAGE),
            "/style.css" => Self::ok("text/css; charset=utf-8", page::STYLE),
            "/script.js" => Self::ok("text/javascript; charset=utf-8", page::SCRIPT),
            "/metrics" => Self::ok(
                "text/plain; version=0.0.4; charset=utf-8",
                metrics(recorder),
            ),
            "/api/jobs" => Self::json(&Overview::new(recorder)),
            path => Self::to_job(path, recorder).unwrap_or_else(|| {
                Self::refused((
                    404,
                    "There is no such page, or the job is not kept any more.",
                ))
            }),
        }
    }

    /// Returns the response to a request about one job.
    fn to_job(path: &str, recorder: &Recorder) -> Option<Self> {
        let path = path.strip_prefix("/api/jobs/")?;
        let Some(number) = path.strip_suffix("/stages.svg") else {
            let details = JobDetails::of(recorder, path.parse().ok()?)?;
            return Some(Self::json(&details));
        };
        let number: u64 = number.parse().ok()?;
        let plan = recorder.read(|recorded| {
            let mut jobs = recorded.jobs.iter();
            let job = jobs.find(|job| job.record.number == number)?;
            Some(Arc::clone(&job.record.plan))
        })?;
        Some(Self::ok("image/svg+xml", stage_drawing(&plan)))
    }

    fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::ok("application/json", text),
            Err(_) => Self::refused((500, "The job cannot be described.")),
        }
    }

    /// Returns the response as it is sent. The browser loads scripts, styles and data from this server only.
    pub(super) fn to_bytes(&self, is_head: bool) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            431 => "Request Header Fields Too Large",
            _ => "Internal Server Error",
        };
        let allow = if self.status == 405 {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'\r\nConnection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        );
        let body = if is_head { "" } else { &self.body };
        [head.as_bytes(), body.as_bytes()].concat()
    }
}
