//! Reading objects some of which the server may not bear: one that makes it break off, fail or fall silent takes no others
//! with it.

use super::client::Client;
use super::fault::{Error, Result};
use super::methods::Got;
use super::parallel::in_order;
use super::request::Request;
use crate::error::Kind as Fault;
use serde_json::{Value, json};

/// After so many objects in a row over which the server broke down it is taken for lost.
const IN_A_ROW: usize = 16;

/// Objects that came, and the ids of those over which the server broke down.
#[derive(Debug, Default)]
pub struct Sound {
    pub got: Got,
    pub broken: Vec<String>,
}

impl Error {
    /// True if the line or the server broke down over a question: another one may have an answer.
    pub fn is_breakdown(&self) -> bool {
        match self {
            Error::Line(error) => error.kind == Fault::Connection,
            Error::Method(error) => {
                matches!(error.kind.as_str(), "serverFail" | "serverUnavailable" | "serverPartialFail")
            }
        }
    }
}

impl Client {
    /// True if the server answers at all. What it broke down over is to blame then, and not the server.
    pub async fn is_well(&self) -> bool {
        let mut request = Request::new().hasty();
        request.call("Core/echo", json!({}));
        self.call(&request).await.is_ok()
    }

    /// As [`Client::get_each`]. Where the server breaks down over some objects and is well otherwise, they are asked for in
    /// ever smaller parts until it is known which ones it are; each part that `sink` gets names them.
    pub async fn get_sound(
        &self,
        account: &str,
        kind: &str,
        ids: &[String],
        properties: Option<&[&str]>,
        mut sink: impl FnMut(Sound) -> bool,
    ) -> Result<()> {
        let size = self.ids_at_once(1000);
        let width = self.limits().max_concurrent_requests.min(4);
        let mut base = json!({ "accountId": account });
        if let Some(properties) = properties {
            base["properties"] = json!(properties);
        }
        let method = format!("{kind}/get");
        let work = ids.chunks(size).map(|part| self.sound_part(&method, &base, part.to_vec()));
        let mut failed = None;
        in_order(width, work, |part| match part {
            Ok(part) => sink(part),
            Err(error) => {
                failed = Some(error);
                false
            }
        })
        .await;
        failed.map_or(Ok(()), Err)
    }

    async fn sound_part(&self, method: &str, base: &Value, ids: Vec<String>) -> Result<Sound> {
        let mut sound = Sound::default();
        let mut waiting = vec![ids];
        let (mut has_broken, mut in_a_row) = (false, 0);
        while let Some(part) = waiting.pop() {
            let mut arguments = base.clone();
            arguments["ids"] = json!(part);
            // Once it is known that something is wrong, each part is asked for once.
            let mut request = if has_broken { Request::once() } else { Request::new().hasty() };
            let call = request.call(method, arguments);
            let answer = match self.call(&request).await {
                Ok(mut responses) => responses.take(call),
                Err(error) => Err(error),
            };
            let error = match answer {
                Ok(answer) => {
                    let got = Got::from(answer);
                    if sound.got.state.is_empty() {
                        sound.got.state = got.state;
                    }
                    sound.got.list.extend(got.list);
                    sound.got.not_found.extend(got.not_found);
                    in_a_row = 0;
                    continue;
                }
                Err(error) => error,
            };
            let is_breakdown = error.is_breakdown() && in_a_row < IN_A_ROW && self.is_well().await;
            if !is_breakdown && !error.is_too_much() {
                return Err(error);
            }
            has_broken |= is_breakdown;
            match part.as_slice() {
                [only] if is_breakdown => {
                    self.log(1, || format!("{method} of {}: {error}", super::super::said(only.as_bytes())));
                    sound.broken.push(only.clone());
                    in_a_row += 1;
                }
                [_] | [] => return Err(error),
                several => {
                    let (first, second) = several.split_at(several.len() / 2);
                    waiting.extend([second.to_vec(), first.to_vec()]);
                }
            }
        }
        Ok(sound)
    }
}
