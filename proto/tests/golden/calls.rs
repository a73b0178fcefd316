//! The calls of the service, and their answers.

use super::*;

#[test]
fn network_describes_itself() {
    check_bytes(wire::GetNetworkRequest {}, "");
    check_bytes(
        wire::GetNetworkResponse {
            network_id: NETWORK.as_bytes().to_vec(),
            chain_id: 31337,
            postage: vec![0x14; 20],
            token: vec![0x15; 20],
            operator: vec![0x16; 20],
            verifying_key: vec![0x17; 32],
            issue_seconds: 7_889_400,
            invite_requirement: Some(requirement("stamp(1)").into()),
            joining_requirement: Some(Requirement::nothing().into()),
            now_ns: now().as_nanos(),
            member_limit: 256,
            conversation_bits: 9,
            congestion_steps: vec![2, 4, 300],
        },
        "
            0a 20 11*32 // network_id
            10 e9f401 // chain_id: 31,337
            1a 14 14*20 // postage
            22 14 15*20 // token
            2a 14 16*20 // operator
            32 20 17*32 // verifying_key
            38 f8c3e103 // issue_seconds: 7,889,400
            42 04 // invite_requirement
              1a 02 // stamp
                08 01 // at_least
            4a 02 // joining_requirement
              12 00 // all_of
            50 8180a8b1e39fe7cb17 // now_ns: 1,700,000,000,000,000,001
            58 80 02 // member_limit: 256
            60 09 // conversation_bits
            6a 04 02 04 ac02 // congestion_steps: 2, 4, 300
        ",
    );
}

#[test]
fn publish_call_and_its_answer() {
    let publication = |expected_head| wire::Publication { submission: Some(submission().into()), expected_head };
    let submission = submission_table();
    check_bytes(
        wire::PublishRequest { publications: vec![publication(None), publication(Some(0)), publication(Some(7))] },
        &format!(
            "
            0a 8d 02 // publications
              0a 8a 02 // submission
            {submission}
            0a 8f 02 // publications
              0a 8a 02 // submission
            {submission}
              10 00 // expected_head
            0a 8f 02 // publications
              0a 8a 02 // submission
            {submission}
              10 07 // expected_head
            "
        ),
    );
    let refusal = wire::Refusal { code: 11, message: "x".into(), ..Default::default() };
    let results =
        [wire::publish_result::Result::Postmark(postmark().into()), wire::publish_result::Result::Refusal(refusal)];
    check_bytes(
        wire::PublishResponse { results: results.map(|it| wire::PublishResult { result: Some(it) }).to_vec() },
        &format!(
            r#"
            0a ce 01 // results
              0a cb 01 // postmark
            {POSTMARK}
            0a 07 // results
              12 05 // refusal
                08 0b // code
                12 01 "x" // message
            "#
        ),
    );
}

#[test]
fn query_call_and_its_answer() {
    let topic = envelope().topic.to_string();
    check_bytes(
        wire::QueryRequest { topic, after: 7, limit: 100, descending: true },
        r#"
            0a 48 "/xmtp/1/invite-eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f/proto" // topic
            10 07 // after
            18 64 // limit
            20 01 // descending
        "#,
    );
    let record_table = record_table();
    check_bytes(
        wire::QueryResponse { records: vec![record().into()], more: true },
        &format!(
            "
            0a db 03 // records
            {record_table}
            10 01 // more
            "
        ),
    );
}

#[test]
fn query_by_prefix_and_its_answer() {
    let prefix = Some(wire::ConversationPrefix { bits: 9, prefix: vec![0x19; 32] });
    check_bytes(
        wire::QueryConversationsRequest { prefix, after: 7, limit: 100 },
        "
            0a 24 // prefix
              08 09 // bits
              12 20 19*32 // prefix
            10 07 // after
            18 64 // limit
        ",
    );
    let record_table = record_table();
    check_bytes(
        wire::QueryConversationsResponse { records: vec![record().into()], seen: 300, more: true },
        &format!(
            "
            0a db 03 // records
            {record_table}
            10 ac 02 // seen: 300
            18 01 // more
            "
        ),
    );
}

#[test]
fn query_of_contacts_and_its_answer() {
    check_bytes(
        wire::QueryContactsRequest { after: 7, limit: 100 },
        "
            08 07 // after
            10 64 // limit
        ",
    );
    let record_table = record_table();
    check_bytes(
        wire::QueryContactsResponse { records: vec![record().into()], seen: 300, more: true },
        &format!(
            "
            0a db 03 // records
            {record_table}
            10 ac 02 // seen: 300
            18 01 // more
            "
        ),
    );
}

#[test]
fn requirements_call_and_its_answer() {
    let topic = envelope().topic.to_string();
    check_bytes(
        wire::GetRequirementsRequest { topic },
        r#"
            0a 48 "/xmtp/1/invite-eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f/proto" // topic
        "#,
    );
    check_bytes(
        wire::GetRequirementsResponse {
            network: Some(requirement("stamp(4)").into()),
            policy: vec![0x18; 32],
            times: 4,
            good_until_ns: now().as_nanos(),
        },
        "
            0a 04 // network
              1a 02 // stamp
                08 04 // at_least
            12 20 18*32 // policy
            18 04 // times
            20 8180a8b1e39fe7cb17 // good_until_ns: 1,700,000,000,000,000,001
        ",
    );
}

#[test]
fn key_bundle_call_and_its_answer() {
    check_bytes(
        wire::GetKeyBundleRequest { account: account().to_string() },
        r#"
            0a 33 "eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f" // account
        "#,
    );
    let record_table = record_table();
    check_bytes(
        wire::GetKeyBundleResponse { record: Some(record().into()) },
        &format!(
            "
            0a db 03 // record
            {record_table}
            "
        ),
    );
}

const STAMP_GROUP: wire::StampGroup = wire::StampGroup { denomination: 5, issue: 215 };

fn member_group() -> wire::MemberGroup {
    wire::MemberGroup { operator: vec![0x1a; 32], generation: 215 }
}

fn claim_group() -> wire::ClaimGroup {
    wire::ClaimGroup { id: vec![0x1c; 32], generation: 215 }
}

#[test]
fn roots_call_and_its_answer() {
    check_bytes(
        wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Stamps(STAMP_GROUP)) },
        "
            0a 05 // stamps
              08 05 // denomination
              10 d7 01 // issue: 215
        ",
    );
    check_bytes(
        wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Members(member_group())) },
        "
            12 25 // members
              0a 20 1a*32 // operator
              10 d7 01 // generation: 215
        ",
    );
    check_bytes(
        wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Claim(claim_group())) },
        "
            22 25 // claim
              0a 20 1c*32 // id
              10 d7 01 // generation: 215
        ",
    );
    let root = |volume, kind: wire::RootKind, byte, leaves, block| wire::VolumeRoot {
        volume,
        kind: kind.into(),
        root: vec![byte; 32],
        leaves,
        block,
    };
    let roots = vec![
        root(0, wire::RootKind::Checkpoint, 1, 2_097_152, 19_000_000),
        root(1, wire::RootKind::Fresh, 2, 3, 19_000_100),
    ];
    check_bytes(
        wire::GetRootsResponse { roots },
        "
            0a 2e // roots
              10 01 // kind
              1a 20 01*32 // root
              20 80808001 // leaves: 2,097,152
              28 c0d58709 // block: 19,000,000
            0a 2d // roots
              08 01 // volume
              10 02 // kind
              1a 20 02*32 // root
              20 03 // leaves
              28 a4d68709 // block: 19,000,100
        ",
    );
}

#[test]
fn bucket_call_and_its_answer() {
    let group = Some(wire::get_bucket_request::Group::Stamps(STAMP_GROUP));
    check_bytes(
        wire::GetBucketRequest { group, root: vec![1; 32], bucket: 511 },
        "
            0a 05 // stamps
              08 05 // denomination
              10 d7 01 // issue: 215
            12 20 01*32 // root
            18 ff 03 // bucket: 511
        ",
    );
    let group = Some(wire::get_bucket_request::Group::Members(member_group()));
    check_bytes(
        wire::GetBucketRequest { group, root: vec![1; 32], bucket: 0 },
        "
            22 25 // members
              0a 20 1a*32 // operator
              10 d7 01 // generation: 215
            12 20 01*32 // root
        ",
    );
    let group = Some(wire::get_bucket_request::Group::Claim(claim_group()));
    check_bytes(
        wire::GetBucketRequest { group, root: vec![1; 32], bucket: 0 },
        "
            32 25 // claim
              0a 20 1c*32 // id
              10 d7 01 // generation: 215
            12 20 01*32 // root
        ",
    );
    let top = [[1; 32], [2; 32]].concat();
    check_bytes(
        wire::GetBucketResponse { volume: 1, bucket: 511, top, leaves: vec![3; 32] },
        "
            08 01 // volume
            10 ff 03 // bucket: 511
            1a 40 // top
              0101010101010101010101010101010101010101010101010101010101010101
              0202020202020202020202020202020202020202020202020202020202020202
            22 20 03*32 // leaves
        ",
    );
}

#[test]
fn subscribe_call_and_its_events() {
    use wire::subscribe_response::Event;
    use wire::topic_filter::Filter;
    let prefix = wire::ConversationPrefix { bits: 9, prefix: vec![0x19; 32] };
    let filters = [Filter::Topic(envelope().topic.to_string()), Filter::Conversations(prefix)];
    check_bytes(
        wire::SubscribeRequest { filters: filters.map(|it| wire::TopicFilter { filter: Some(it) }).to_vec(), after: 7 },
        r#"
            0a 4a // filters
              0a 48 "/xmtp/1/invite-eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f/proto" // topic
            0a 26 // filters
              12 24 // conversations
                08 09 // bits
                12 20 19*32 // prefix
            10 07 // after
        "#,
    );
    let record_table = record_table();
    check_bytes(
        wire::SubscribeResponse { event: Some(Event::Record(record().into())) },
        &format!(
            "
            0a db 03 // record
            {record_table}
            "
        ),
    );
    check_bytes(
        wire::SubscribeResponse { event: Some(Event::Seen(300)) },
        "
            10 ac 02 // seen: 300
        ",
    );
}
