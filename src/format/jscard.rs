pub struct Converted{pub data: serde_json::Value, pub remark: Option<String>} pub fn to_jscontact(_:&[u8],_:&str)->Converted{Converted{data:serde_json::Value::Null,remark:None}}
