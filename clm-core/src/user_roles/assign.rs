//! Giving roles to people, and taking them away.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::registry::{Entry, Fields, Reference, RoleFields};
use crate::store::users::User;
use crate::store::{StoreError, references, roles, user_roles};
use audit_chain::{Caller, Event, Value};
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same assignment.
const ATTEMPTS: usize = 5;

/// A role that was given to a person, as stored.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Row id.
    pub id: Uuid,
    /// Organization it belongs to.
    pub organization_id: Uuid,
    /// To whom.
    pub user_id: Uuid,
    /// Which.
    pub role_id: Uuid,
    /// It counts from then on.
    pub valid_from: DateTime<Utc>,
    /// And not any more then.
    pub valid_until: Option<DateTime<Utc>>,
    /// By whom, if that was a person.
    pub assigned_by_user_id: Option<Uuid>,
    /// When it was given last.
    pub assigned_at: DateTime<Utc>,
    /// When it was withdrawn.
    pub revoked_at: Option<DateTime<Utc>>,
    /// By whom.
    pub revoked_by_user_id: Option<Uuid>,
    /// Grows with each change.
    pub revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// When an assignment counts; `None`: as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoleSpan {
    /// From when on; `Some(None)`: from now on.
    pub valid_from: Option<Option<DateTime<Utc>>>,
    /// Until when; `Some(None)`: without an end.
    pub valid_until: Option<Option<DateTime<Utc>>>,
}

impl Core {
    /// Gives somebody, named by name or id, a role, or changes when it counts; acts at once on tokens that live. `true`: it was not given before.
    ///
    /// # Errors
    /// [`Error::Invalid`] says whom or what this organization has not, and which time cannot be.
    pub async fn assign_role(&self, caller: &Caller, person: &str, code: &str, span: RoleSpan) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            match self.assign_once(caller, person, code, span).await {
                Err(Error::Conflict(_) | Error::Database(StoreError::Taken { .. })) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("role of a person"))
    }

    /// Takes a role away; acts at once. `false`: it was not given.
    pub async fn withdraw_role(&self, caller: &Caller, person: &str, code: &str) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            match self.withdraw_once(caller, person, code).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("role of a person"))
    }

    /// That somebody was given a role. `None`: it was not, or was withdrawn.
    pub async fn role_assignment(&self, organization_id: Uuid, person: &str, code: &str) -> Result<Option<Assignment>> {
        let found = self.person_and_role(organization_id, person, code).await?;
        let Some((user, role)) = found else { return Ok(None) };
        let assignment = self.checked_assignment(&user, &role).await?;
        Ok(assignment.filter(|assignment| assignment.revoked_at.is_none()))
    }

    /// What somebody was given, by the roles' codes.
    pub async fn roles_of_person(&self, organization_id: Uuid, person: &str) -> Result<Vec<(String, Assignment)>> {
        let Some(user) = self.person_called(organization_id, person).await? else { return Ok(Vec::new()) };
        let given = self.store().assignments_of(organization_id, user.id).await?;
        for (_, assignment) in &given {
            self.check_assignment(assignment).await?;
        }
        Ok(given)
    }

    /// Names of people who were given any role; sorted.
    pub async fn people_with_roles(&self, organization_id: Uuid) -> Result<Vec<String>> {
        Ok(self.store().people_with_roles(organization_id, None).await?)
    }

    /// Names of people who were given this role; sorted.
    pub async fn people_with_role(&self, organization_id: Uuid, code: &str) -> Result<Vec<String>> {
        match self.store().entry::<RoleFields>(organization_id, code).await? {
            Some(role) => Ok(self.store().people_with_roles(organization_id, Some(role.id)).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Refuses an assignment whose row is not ours.
    pub(crate) async fn check_assignment(&self, assignment: &Assignment) -> Result<()> {
        let which = (user_roles::TABLE, assignment.organization_id, assignment.id);
        self.check_known_row(which, user_roles::bound_bytes(assignment), assignment.row_mac).await
    }

    async fn assign_once(&self, caller: &Caller, person: &str, code: &str, span: RoleSpan) -> Result<bool> {
        let organization_id = caller.organization_id;
        let user = self.person_called(organization_id, person).await?.filter(|user| user.deleted_at.is_none());
        let user = user.ok_or_else(|| Error::invalid(format!("this organization has no person {person:?}")))?;
        let role = self.role_coded(organization_id, code).await?.filter(|role| !role.is_deleted());
        let role = role.ok_or_else(|| Error::invalid(format!("this organization has no role {code:?}")))?;
        let now = self.now();
        let old = self.checked_assignment(&user, &role).await?;
        let is_given = old.as_ref().is_some_and(|old| old.revoked_at.is_none());
        let mut next = match old {
            Some(old) if is_given => old,
            // Given anew, as if it had never been.
            old => Assignment {
                id: old.as_ref().map_or_else(Uuid::now_v7, |old| old.id),
                organization_id,
                user_id: user.id,
                role_id: role.id,
                valid_from: now,
                valid_until: None,
                assigned_by_user_id: None,
                assigned_at: now,
                revoked_at: None,
                revoked_by_user_id: None,
                revision: old.map_or(0, |old| old.revision),
                row_mac: [0; 32],
            },
        };
        next.assigned_by_user_id = caller.user_id;
        next.assigned_at = now;
        next.settle(span, now)?;
        let next = self.next_assignment(next).await?;
        let event = self.assignment_event(caller, "role.assign", &user, &role, &next);
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                let named = [Reference::User("user", next.user_id), Reference::Role("role", next.role_id)];
                references::expect(&mut *connection, next.id, &named).await?;
                user_roles::put(connection, &next).await.map(|()| ((), event))
            })
        })
        .await?;
        self.cache().forget(user.id);
        Ok(!is_given)
    }

    async fn withdraw_once(&self, caller: &Caller, person: &str, code: &str) -> Result<bool> {
        let found = self.person_and_role(caller.organization_id, person, code).await?;
        let Some((user, role)) = found else { return Ok(false) };
        let given = self.checked_assignment(&user, &role).await?.filter(|given| given.revoked_at.is_none());
        let Some(mut next) = given else { return Ok(false) };
        next.revoked_at = Some(self.now());
        next.revoked_by_user_id = caller.user_id;
        let next = self.next_assignment(next).await?;
        let event = self.assignment_event(caller, "role.withdraw", &user, &role, &next);
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move { user_roles::put(connection, &next).await.map(|()| ((), event)) })
        })
        .await?;
        self.cache().forget(user.id);
        Ok(true)
    }

    async fn next_assignment(&self, mut assignment: Assignment) -> Result<Assignment> {
        assignment.revision += 1;
        assignment.row_mac = self.row_mac(user_roles::bound_bytes(&assignment)).await?;
        Ok(assignment)
    }

    async fn checked_assignment(&self, user: &User, role: &Entry<RoleFields>) -> Result<Option<Assignment>> {
        let found = self.store().assignment(user.organization_id, user.id, role.id).await?;
        if let Some(assignment) = &found {
            self.check_assignment(assignment).await?;
        }
        Ok(found)
    }

    async fn person_and_role(
        &self,
        organization_id: Uuid,
        person: &str,
        code: &str,
    ) -> Result<Option<(User, Entry<RoleFields>)>> {
        let user = self.person_called(organization_id, person).await?;
        Ok(user.zip(self.role_coded(organization_id, code).await?))
    }

    /// By name, or by id.
    async fn person_called(&self, organization_id: Uuid, person: &str) -> Result<Option<User>> {
        match (self.user_named(organization_id, &person.to_lowercase()).await?, Uuid::try_parse(person)) {
            (None, Ok(id)) => self.user(organization_id, id).await,
            (named, _) => Ok(named),
        }
    }

    /// Deleted or not.
    async fn role_coded(&self, organization_id: Uuid, code: &str) -> Result<Option<Entry<RoleFields>>> {
        let Some(role) = self.store().entry::<RoleFields>(organization_id, code).await? else { return Ok(None) };
        let which = (roles::TABLE, organization_id, role.id);
        self.check_known_row(which, RoleFields::bound_bytes(&role), role.row_mac).await?;
        Ok(Some(role))
    }

    fn assignment_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        user: &User,
        role: &Entry<RoleFields>,
        assignment: &Assignment,
    ) -> Event {
        let action = event_type.strip_prefix("role.").unwrap_or(event_type);
        let who = ("user", Some(user.username.clone()));
        let mut event = self.event(caller, event_type, "user_management", who, action);
        let time = |time: DateTime<Utc>| Value::Text(time.to_rfc3339_opts(SecondsFormat::Micros, true).into());
        event.data.insert("role".into(), Value::Text(role.code.clone().into()));
        event.data.insert("valid_from".into(), time(assignment.valid_from));
        event.data.extend(assignment.valid_until.map(|until| ("valid_until".into(), time(until))));
        add_rows(&mut event, [(user_roles::TABLE, assignment.id, assignment.revision, assignment.row_mac)]);
        event
    }
}

impl Assignment {
    fn settle(&mut self, span: RoleSpan, now: DateTime<Utc>) -> Result<()> {
        if let Some(from) = span.valid_from {
            self.valid_from = from.unwrap_or(now).trunc_subsecs(6);
        }
        if let Some(until) = span.valid_until {
            self.valid_until = until.map(|until| until.trunc_subsecs(6));
        }
        match self.valid_until {
            Some(until) if until <= now => Err(Error::invalid(
                "valid_until is in the past: withdraw the role, or say a time that is still to come",
            )),
            Some(until) if until <= self.valid_from => Err(Error::invalid("valid_until must be after valid_from")),
            _ => Ok(()),
        }
    }
}
