//! Reading objects some of which the server may not bear: one that makes it break off, fail or fall silent takes no others
//! with it.

use super::client::Client;
use super::error::{Error, Result};
use super::get::{Got, get_arguments};
use super::request::Request;
use crate::error::ErrorKind;
use crate::net::sanitize::said;
use serde_json::{Value, json};

/// After so many objects in a row over which the server broke down it is taken for lost.
const IN_A_ROW: usize = 16;

/// Objects that came, and the ids of those over which the server broke down.
#[derive(Debug, Default)]
pub struct Sound {
    /// Objects, and ids that do not exist.
    pub got: Got,
    /// Ids over which the server broke down, each asked for alone.
    pub broken: Vec<String>,
}

impl Error {
    /// True if the line or the server broke down over a question: another one may have an answer.
    pub fn is_breakdown(&self) -> bool {
        match self {
            Error::Line(error) => error.kind == ErrorKind::Connection,
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
        sink: impl FnMut(Sound) -> bool,
    ) -> Result<()> {
        let base = get_arguments(account, properties);
        let method = format!("{kind}/get");
        self.in_parts(ids, |part| self.sound_part(&method, &base, part), sink).await
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
                    let left = got.left_of(&part);
                    if !left.is_empty() && left.len() < part.len() {
                        waiting.push(left);
                    }
                    sound.got.add(got);
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
                    self.log(1, || format!("{method} of {}: {error}", said(only.as_bytes())));
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
