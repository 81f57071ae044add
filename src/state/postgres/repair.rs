//! What becomes of a source whose tables of ids have been dropped by someone.

use tokio_postgres::Client;

use super::days::{self, Days};
use super::parameter::{number, numbers};
use super::{Held, commit, schema};
use crate::state::StateError;

/// Makes the tables of ids that are missing, and gives up the days that they were for. Returns how many; or nothing if the other tables are not those
/// that this process knew.
///
/// # Errors
/// If another node has the source by now, or the source is not there any more.
pub(super) async fn forget_lost_days(
    client: &mut Client,
    held: Held,
    hash_key: [u8; 16],
) -> Result<Option<usize>, StateError> {
    let transaction = schema::begin(client).await?;
    if schema::hash_key(&transaction).await? != hash_key {
        return Ok(None);
    }
    commit::fence(&transaction, held).await?;
    let all = Days::load(&transaction, held.source).await?;
    let mut lost = Vec::new();
    for (day, place) in &all.0 {
        let table = days::table(*day, place.apart);
        if !schema::exists(&transaction, &table).await? {
            lost.push(day.0);
        }
    }
    let delete = "DELETE FROM lookback_days WHERE source = $1 AND day = ANY($2)";
    let parameters = [number(&held.source), numbers(&lost)];
    transaction.execute_typed(delete, &parameters).await?;
    transaction.commit().await?;
    schema::make(client, days::OTHER).await?;
    Ok(Some(lost.len()))
}
