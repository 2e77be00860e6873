//! Table `audit_log`, as those who count clients read it.

use super::{Store, StoreError};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Clients of one kind in one month.
#[derive(Clone, Debug)]
pub(crate) struct ClientsRow {
    /// Its first moment, UTC.
    pub(crate) month: DateTime<Utc>,
    /// Entities; else tokens that are of none, those with the same policies counting as one.
    pub(crate) are_entities: bool,
    pub(crate) clients: i64,
    /// Of them those that no earlier month of the period has.
    pub(crate) new_clients: i64,
}

impl Store {
    /// Who was given a token between two moments, by month: a login and the making of a token leave a record that says for whom. Root tokens and
    /// wrapping tokens are nobody's.
    pub(crate) async fn clients(
        &self,
        organization_id: Uuid,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ClientsRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        // What records of before called `policies` were the token's as well.
        let rows = sqlx::query_as!(
            ClientsRow,
            r#"WITH given AS (
                 SELECT date_trunc('month', event_timestamp, 'UTC') AS month, event_data ->> 'entity_id' AS entity_id,
                     coalesce(event_data -> 'token_policies', event_data -> 'policies')::text AS policies
                 FROM audit_log
                 WHERE organization_id = $1 AND event_timestamp >= $2 AND event_timestamp < $3 AND action_result = 'success'
                     AND (event_type = 'token.create' OR event_type LIKE 'login.%')
             ), clients AS (
                 SELECT DISTINCT month, entity_id IS NOT NULL AS are_entities, coalesce(entity_id, policies) AS client FROM given
                 WHERE entity_id IS NOT NULL OR policies <> '["root"]'
             ), seen AS (
                 SELECT month, are_entities, min(month) OVER (PARTITION BY are_entities, client) AS first FROM clients
             )
             SELECT month AS "month!", are_entities AS "are_entities!", count(*) AS "clients!",
                 count(*) FILTER (WHERE month = first) AS "new_clients!"
             FROM seen GROUP BY month, are_entities ORDER BY month"#,
            organization_id,
            from,
            until
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(rows)
    }
}
