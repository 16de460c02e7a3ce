-- What plans were told with is kept to be compared: the names that accounts gave their foods are not needed for it, nor are reasons, which
-- name them. They would outlast the account.
UPDATE plans SET snapshot = snapshot || jsonb_build_object(
    'reasons', '[]'::jsonb,
    'portions', coalesce(
        (SELECT jsonb_agg(portion || '{"name": ""}'::jsonb ORDER BY nth)
         FROM jsonb_array_elements(snapshot -> 'portions') WITH ORDINALITY AS portions (portion, nth)),
        '[]'::jsonb))
WHERE jsonb_typeof(snapshot -> 'portions') = 'array';
