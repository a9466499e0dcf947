{#-
    HMAC-SHA256 (RFC 2104) of an email with the key kept in `secret.email_hash_key`, whose padded
    forms are stored; trimmed and lower-cased, so that one address is one hash.
-#}
{% macro email_hash(email, key) -%}
    encode(
        sha256({{ key }}.outer_pad || sha256({{ key }}.inner_pad || convert_to(lower(btrim({{ email }}, E' \t\n\x0b\f\r')), 'UTF8'))),
        'hex'
    )
{%- endmacro %}
