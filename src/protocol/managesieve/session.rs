//! What a source and a sink need of a server, whatever becomes of the connections.

use super::client::{Client, Fetched, Script};
use super::write::Answer;
use crate::error::Result;
use crate::net::account::Account;
use crate::net::retry::Backoff;

/// An account on a server. Connects when it is asked something, and again when a connection broke.
pub struct Session {
    account: Account,
    client: Option<Client>,
    /// A login succeeded in this run: the address is right.
    is_known: bool,
}

/// How often a script is asked for again after the server broke off over it.
const BREAKDOWNS: u32 = 2;

/// Asks once, with a connection made if there is none, and again as long as the failure is one that time heals.
macro_rules! with_retries {
    ($session:ident, $retries:expr, $client:ident => $question:expr) => {{
        let connector = &$session.account.connector;
        let mut backoff = Backoff::new($retries, connector.timeout(), connector.listener());
        loop {
            let answer = match $session.connected().await {
                Ok($client) => $question.await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => break Ok(answer),
                Err(error) => {
                    $session.client = None;
                    if let Err(error) = backoff.wait(error, None).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}

impl Session {
    /// Nothing is sent before the first question.
    pub fn new(account: Account) -> Session {
        Session { account, client: None, is_known: false }
    }

    /// All scripts, without their bytes.
    pub async fn list_scripts(&mut self) -> Result<Vec<Script>> {
        with_retries!(self, self.account.max_retries, client => client.list_scripts())
    }

    /// The bytes of a script.
    pub async fn get_script(&mut self, name: &[u8]) -> Result<Fetched> {
        let retries = self.account.max_retries.min(BREAKDOWNS);
        let fetched: Result<Fetched> = with_retries!(self, retries, client => client.get_script(name));
        self.client.take_if(|client| client.is_broken());
        fetched
    }

    /// Asks for a change over a connection that is made if there is none. It is asked for once: after an error it is not known
    /// whether it was done.
    pub async fn change(&mut self, mut question: impl AsyncFnMut(&mut Client) -> Result<Answer>) -> Result<Answer> {
        let answer = match self.connected().await {
            Ok(client) => question(client).await,
            Err(error) => Err(error),
        };
        if answer.is_err() {
            self.client = None;
        }
        answer
    }

    /// True if a login over a new connection succeeds: then the question that the server broke off at is to blame.
    pub async fn is_well(&mut self) -> bool {
        self.client = None;
        self.connected().await.is_ok()
    }

    /// Logs out, if there is a connection.
    pub async fn close(&mut self) {
        if let Some(client) = self.client.take() {
            client.close().await;
        }
    }

    async fn connected(&mut self) -> Result<&mut Client> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::open(&self.account, self.is_known).await?,
        };
        self.is_known = true;
        Ok(self.client.insert(client))
    }
}
