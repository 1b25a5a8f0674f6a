#!/usr/bin/perl

# Whose tokens a key verifies: with several issuers side by side, none of them signs for another one, and
# none of their clients has the name, or the limits, of somebody else's.

use warnings;
use strict;

use Test::More;

use JSON::PP qw//;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header json keys_file status /;
use Tollgate::Client qw/ audit_lines poll /;
use Tollgate::Provider;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('openssl');

start_provider($t, 8090);
new_key($_) for qw/a b both other new/;

$t->write_file('keys.json', keys_file(
	{ key => 'tg_acme', client => 'acme', tier => 'once' },
	{ key => 'tg_zen', client => 'zen', tier => 'once' },
));
# Issuers count their keys without asking each other.
$t->write_file('a-1.json', json({ keys => [jwk('a', kid => '1'), jwk('both', kid => '2')] }));
$t->write_file('b-1.json', json({ keys => [jwk('b', kid => '1'), jwk('both', kid => '2')] }));
$t->write_file('live.json', json({ keys => [jwk('a', kid => '1')] }));
answers('jwks', body => key_set('a'));
answers('introspect', body => { active => JSON::PP::true(), sub => 'acme' });

$t->write_file('many.json', json({ keys => [(map { jwk($_, kid => undef) } qw/b both other new/),
	map({ jwk('b', kid => "k$_") } 1 .. 40), jwk('a', kid => 'last')] }) =~ s/"kid":null,//gr);

my ($iss_a, $iss_b) = ('https://a.example', 'https://b.example');

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { }
    tollgate_tier          once { requests 1r/d; }
    tollgate_limit         failures key=$http_x_from auth_failures=2r/d;
    tollgate_default_tier  once;
    tollgate_auth          jwt;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

    add_header X-Client  $tollgate_client  always;
    add_header X-Reason  $tollgate_reason  always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_jwt_key_file secret;

        location /ours/ {
            tollgate_default_tier  free;
            tollgate_jwt_issuer    https://a.example https://b.example;
            tollgate_jwt_key_file  a.pub issuer=https://a.example client_prefix=a:;
            tollgate_jwt_key_file  b.pub issuer=https://b.example client_prefix=b:;
            proxy_pass http://127.0.0.1:8081;
        }

        location /kids/ {
            tollgate_default_tier  free;
            tollgate_jwt_key_file  a-1.json issuer=https://a.example;
            tollgate_jwt_key_file  b-1.json issuer=https://b.example;
            proxy_pass http://127.0.0.1:8081;
        }

        # What no key file names, is for those that name none.
        location /rest/ {
            tollgate_default_tier  free;
            tollgate_jwt_key_file  a.pub issuer=https://a.example;
            tollgate_jwt_key_file  other.pub;
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbound/ {
            tollgate_default_tier  free;
            tollgate_jwt_issuer    https://a.example https://b.example;
            tollgate_jwt_key_file  a.pub;
            tollgate_jwt_key_file  b.pub;
            proxy_pass http://127.0.0.1:8081;
        }

        location /live/ {
            tollgate_default_tier  free;
            tollgate_jwt_key_file  live.json issuer=https://a.example client_prefix=a:;
            tollgate_jwt_key_file  b.pub issuer=https://b.example client_prefix=b:;
            proxy_pass http://127.0.0.1:8081;
        }

        location /asked/ {
            tollgate_default_tier     free;
            tollgate_jwt_key_request  /_jwks issuer=https://a.example client_prefix=asked:;
            proxy_pass http://127.0.0.1:8081;
        }

        location /apart/ {
            tollgate_auth               api_key jwt;
            tollgate_api_keys           keys.json;
            tollgate_jwt_client_prefix  jwt:;
            tollgate_jwt_key_file       a.pub;
            proxy_pass http://127.0.0.1:8081;
        }

        location /shared/ {
            tollgate_auth          api_key jwt;
            tollgate_api_keys      keys.json;
            tollgate_jwt_key_file  a.pub;
            proxy_pass http://127.0.0.1:8081;
        }

        # More keys than are tried for a token without kid.
        location /counted/ {
            tollgate_default_tier  free;
            tollgate_jwt_key_file  many.json;
            tollgate_apply         failures;
            proxy_pass http://127.0.0.1:8081;
        }

        location /opaque/ {
            tollgate_auth                   introspection;
            tollgate_default_tier           free;
            tollgate_jwt_client_prefix      opaque:;
            tollgate_introspection_request  /_introspect;
            proxy_pass http://127.0.0.1:8081;

            location /opaque/plain/ {
                tollgate_jwt_client_prefix  "";
                proxy_pass http://127.0.0.1:8081;
            }

            location /opaque/bound/ {
                tollgate_introspection_request  /_introspect-b issuer=https://b.example client_prefix=b:;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location = /_jwks {
            internal;
            proxy_pass http://127.0.0.1:8090/jwks;
        }

        location = /_introspect-b {
            internal;
            proxy_pass http://127.0.0.1:8090/introspect-b;
        }

        location = /_introspect {
            internal;
            proxy_pass http://127.0.0.1:8090/introspect;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return 200 "client:$http_x_client_id";
    }
}

EOF

$t->write_file('secret', 's' x 32);
$t->plan(58);
$t->run();

###############################################################################

my %of_a = (sub => 'acme', iss => $iss_a);
my %of_b = (sub => 'acme', iss => $iss_b);
my $foreign = 'the key that signed the token is not one of "iss"';
my $missing = 'claim "iss" is missing';

# Two PEM files, and so no kid.

my @unnamed = (kid => undef);
my $answer = accepted($t, 'ours', token('a', \%of_a, @unnamed), 'a:acme', 'a signs for a');
is(http_content($answer), 'client:a:acme', 'the backend learns the name with its prefix');
accepted($t, 'ours', token('b', \%of_b, @unnamed), 'b:acme', 'b signs for b');
refused($t, 'ours', token('a', \%of_b, @unnamed), $foreign, 'a signs for b');
refused($t, 'ours', token('b', \%of_a, @unnamed), $foreign, 'b signs for a');
refused($t, 'ours', token('a', { sub => 'acme' }, @unnamed), $missing, 'a signs for nobody');
refused($t, 'ours', token('a', { %of_a, iss => [$iss_a] }, @unnamed),
	'claim "iss" has an unusable value', 'a signs for a list');
refused($t, 'ours', token('other', \%of_a, @unnamed), 'the signature is wrong', 'a stranger signs for a');
# Refused, it isn't remembered as good in a place next to it.
refused($t, 'ours', token('b', { %of_a, sub => 'b:acme' }, @unnamed), $foreign,
	'b signs for a, with its own prefix');

# One kid for two keys, and one key of two issuers.

accepted($t, 'kids', token('a', \%of_a, kid => '1'), 'acme', 'kid 1 of a');
accepted($t, 'kids', token('b', \%of_b, kid => '1'), 'acme', 'kid 1 of b');
refused($t, 'kids', token('a', \%of_b, kid => '1'), $foreign, 'kid 1 of a for b');
accepted($t, 'kids', token('both', \%of_a, kid => '2'), 'acme', 'a key of both, for a');
accepted($t, 'kids', token('both', \%of_b, kid => '2'), 'acme', 'a key of both, for b');
refused($t, 'kids', token('both', { sub => 'acme', iss => 'https://c.example' }, kid => '2'), $foreign,
	'a key of both, for a third');

# Keys that name no issuer.

my %of_c = (sub => 'acme', iss => 'https://c.example');
accepted($t, 'rest', token('other', \%of_c, @unnamed), 'acme', 'any key for whom none names');
accepted($t, 'rest', token('other', { sub => 'acme' }, @unnamed), 'acme', 'and for nobody');
accepted($t, 'rest', token('a', \%of_a, @unnamed), 'acme', 'a key for whom it names');
refused($t, 'rest', token('other', \%of_a, @unnamed), $foreign, 'any key for whom another one names');
refused($t, 'rest', token('a', \%of_c, @unnamed), $foreign, 'a key for whom it does not name');

# What happens without: docs/security.md says so.
accepted($t, 'unbound', token('b', \%of_a, @unnamed), 'acme', 'unbound, b signs for a');

# A file that changes stays bound.

accepted($t, 'live', token('a', \%of_a, kid => '1'), 'a:acme', 'before a change');
$t->write_file('live.json', json({ keys => [jwk('new', kid => '1')] }));
my $new = token('new', \%of_a, kid => '1');
ok(poll { status(asks('live', $new)) == 200 }, 'the new key is in force');
accepted($t, 'live', $new, 'a:acme', 'after a change');
refused($t, 'live', token('new', \%of_b, kid => '1'), $foreign, 'after a change, for another issuer');

# Keys that are asked for.

accepted($t, 'asked', token('a', \%of_a), 'asked:acme', 'asked for');
refused($t, 'asked', token('a', \%of_b), $foreign, 'asked for, another issuer');

# Clients of tokens, and of API keys.

accepted($t, 'apart', 'tg_acme', 'acme', 'an API key');
is(status(asks('apart', 'tg_acme')), 429, 'an API key, again');
accepted($t, 'apart', token('a', { sub => 'acme' }, @unnamed), 'jwt:acme', 'a token of the same name');
is(status(asks('apart', token('a', { sub => 'acme', jti => 2 }, @unnamed))), 429, 'a token, again');
# What happens without: docs/security.md says so.
accepted($t, 'shared', token('a', { sub => 'zen' }, @unnamed), 'zen', 'without a prefix, a token');
is(status(asks('shared', 'tg_zen')), 429, 'without a prefix, it spends what is the API key\'s');

# A token that no key has made costs its address, and the next one isn't tried.

my $last = token('a', { sub => 'acme' }, kid => 'last');
my $unnamed = token('a', { sub => 'acme' }, @unnamed);
is(status(get('/counted/', "Authorization: Bearer $last", 'X-From: one')), 200, 'a key by its kid');
for my $number (1, 2) {
	is(status(get('/counted/', "Authorization: Bearer $unnamed", 'X-From: one')), 401,
		"a token without kid, beyond what is tried, $number");
}
is(status(get('/counted/', "Authorization: Bearer $last", 'X-From: one')), 429, 'too many failures');
is(status(get('/counted/', "Authorization: Bearer $last", 'X-From: two')), 200, 'not of others');

$answer = accepted($t, 'opaque', 'opaque-token', 'opaque:acme', 'an opaque token');
accepted($t, 'opaque/plain', 'opaque-token', 'acme', 'an opaque token without a prefix');

my %active = (active => JSON::PP::true(), sub => 'acme');
answers('introspect-b', tokens => {
	'of-b' => json({ %active, iss => $iss_b }),
	'of-a' => json({ %active, iss => $iss_a }),
	'of-nobody' => json(\%active),
});
accepted($t, 'opaque/bound', 'of-b', 'b:acme', 'an opaque token of b');
refused($t, 'opaque/bound', 'of-a', '"iss" is not an accepted issuer', 'an opaque token of a');
refused($t, 'opaque/bound', 'of-nobody', $missing, 'an opaque token of nobody');

my %clients = map { ($_->{client} // '') => 1 } audit_lines($t, 'audit.log', 40);
ok($clients{'a:acme'} && $clients{'jwt:acme'} && $clients{'opaque:acme'}, 'the audit log has the names');

###############################################################################

# Accepted, as this client.
sub accepted {
	my ($t, $place, $token, $client, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = asks($place, $token);
	is(status($answer) . ' ' . (header($answer, 'X-Client') // ''), "200 $client", $name);
	return $answer;
}

# Two tests: refused, for what the error log says.
sub refused {
	my ($t, $place, $token, $text, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = () = refusals($t);
	my $answer = asks($place, $token);
	is(status($answer) . ' ' . (header($answer, 'X-Reason') // ''), '401 invalid_token', $name);
	my @after = refusals($t);
	is($after[$before] // '', $text, "$name, said");
}

sub asks {
	my ($place, $credential) = @_;
	return get("/$place/", "Authorization: Bearer $credential");
}

sub refusals {
	my ($t) = @_;
	return $t->read_file('error.log') =~ /tollgate: request refused: (?:invalid_token|expired_credential|not_yet_valid) \(\w+\): (.*?)(?: while [^,]*)?, client: /g;
}

###############################################################################
