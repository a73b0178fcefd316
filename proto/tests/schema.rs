//! The schema, read from the descriptors that nodes reflect: every message and field says what it is.
#![allow(clippy::unwrap_used)] // A test may.

use std::collections::HashMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use xmtp_proto::wire;

fn files() -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap().file
}

/// The comment above each element, by the element's path in its descriptor.
fn comments(file: &FileDescriptorProto) -> HashMap<Vec<i32>, String> {
    let locations = &file.source_code_info.as_ref().unwrap().location;
    locations.iter().filter_map(|it| Some((it.path.clone(), it.leading_comments.clone()?))).collect()
}

/// Each field with its name, its message's comment and its own.
fn for_each_field(mut check: impl FnMut(&str, &FieldDescriptorProto, &str, &str)) {
    // The numbers of `message_type` and `field` in `descriptor.proto`.
    const MESSAGE: i32 = 4;
    const FIELD: i32 = 2;
    let mut seen = 0;
    for file in files() {
        let comments = comments(&file);
        let comment = |path: &[i32]| comments.get(path).map_or("", |it| it.trim());
        for (message, message_at) in file.message_type.iter().zip(0..) {
            for (field, field_at) in message.field.iter().zip(0..) {
                let name = format!("{}.{}", message.name(), field.name());
                let of_message = comment(&[MESSAGE, message_at]);
                check(&name, field, of_message, comment(&[MESSAGE, message_at, FIELD, field_at]));
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "only {seen} fields");
}

#[test]
fn every_message_and_field_says_what_it_is() {
    for_each_field(|name, _, of_message, of_field| {
        assert!(!of_message.is_empty(), "the message of {name} has no comment");
        assert!(!of_field.is_empty(), "{name} has no comment");
    });
}

#[test]
fn every_field_of_bytes_says_how_many() {
    // Those whose length is what their message has room for.
    const REST_OF_MESSAGE: [&str; 2] = ["VaultRecord.sealed", "Content.body"];
    for_each_field(|name, field, _, comment| {
        if field.r#type() == Type::Bytes && !REST_OF_MESSAGE.contains(&name) {
            let counts = ["bytes", "KiB", "MiB"].iter().any(|unit| comment.contains(unit))
                && comment.contains(|it: char| it.is_ascii_digit());
            assert!(counts, "{name} does not say how many bytes: {comment}");
        }
    });
}

#[test]
fn every_list_says_how_many() {
    for_each_field(|name, field, _, comment| {
        if field.label() == Label::Repeated {
            let counts = comment.contains("t most") || comment.starts_with("One for each");
            assert!(counts, "{name} does not say how many: {comment}");
        }
    });
}

#[test]
fn names_of_times_carry_their_unit() {
    for_each_field(|name, _, _, comment| {
        let is_time = comment.contains("since the Unix epoch") || comment.contains("milliseconds");
        let has_unit = ["_ns", "_ms", "_s"].iter().any(|unit| name.ends_with(unit));
        assert_eq!(is_time, has_unit, "{name}: {comment}");
    });
}

#[test]
fn calls_have_their_names() {
    let mut calls = Vec::new();
    for file in files() {
        for service in &file.service {
            let streams = |it: bool| if it { "stream " } else { "" };
            calls.extend(service.method.iter().map(|it| {
                format!("/{}.{}/{} {}", file.package(), service.name(), it.name(), streams(it.server_streaming()))
            }));
        }
    }
    let expected = [
        "/xmtp.v1.Node/GetNetwork ",
        "/xmtp.v1.Node/Publish ",
        "/xmtp.v1.Node/Query ",
        "/xmtp.v1.Node/QueryConversations ",
        "/xmtp.v1.Node/QueryContacts ",
        "/xmtp.v1.Node/Subscribe stream ",
        "/xmtp.v1.Node/GetRequirements ",
        "/xmtp.v1.Node/GetKeyBundle ",
        "/xmtp.v1.Node/GetRoots ",
        "/xmtp.v1.Node/GetBucket ",
    ];
    assert_eq!(calls, expected);
}
