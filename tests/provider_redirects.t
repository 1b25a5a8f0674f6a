#!/usr/bin/perl

# What an identity provider says is in its answer. Headers by which a backend may direct nginx
# (X-Accel-Redirect and its like) are not obeyed: they would have another location of this nginx answer in
# its place.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get status/;
use Tollgate::Client;
use Tollgate::Provider;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('openssl');

start_provider($t, 8090);
new_key($_) for qw/good evil/;
my ($good, $evil) = map { key_set($_) } qw/good evil/;
my $later = time() + 3600;

# Where the answer leads, and whether it is taken.
my %ways = (
	'returned' => '/returned',
	'file' => '/file.json',
	'proxied' => '/proxied',
	'named' => '@named',
	'tried' => '/tried',
	'missing' => '/nowhere',
);
my $locations = join '', map { <<EOL } sort keys %ways;
        location /jwt-$_/ {
            tollgate on;
            tollgate_auth jwt;
            tollgate_jwt_key_request /_jwks-$_;
            proxy_pass http://127.0.0.1:8081;
        }
        location = /_jwks-$_ { internal; proxy_pass http://127.0.0.1:8090/jwks-$_; }
        location /ask-$_/ {
            tollgate on;
            tollgate_auth introspection;
            tollgate_introspection_request /_ask-$_;
            proxy_pass http://127.0.0.1:8081;
        }
        location = /_ask-$_ { internal; proxy_pass http://127.0.0.1:8090/ask-$_; }
EOL

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier  free { }

    server {
        listen       127.0.0.1:8080;

        tollgate_default_tier free;

%%LOCATIONS%%

        location = /returned  { return 200 '%%EVIL%%'; }
        location = /file.json { }
        location = /proxied   { proxy_pass http://127.0.0.1:8081/evil; }
        location = /tried     { try_files /file.json =404; }
        location @named       { return 200 '%%EVIL%%'; }

        location /ignored/ {
            tollgate on;
            tollgate_auth jwt;
            tollgate_jwt_key_request /_ignored;
            proxy_pass http://127.0.0.1:8081;
        }

        location = /_ignored {
            internal;
            proxy_ignore_headers X-Accel-Redirect;
            proxy_pass http://127.0.0.1:8090/ignored;
        }

        # The operator's own way to an answer.
        location /own/ {
            tollgate on;
            tollgate_auth jwt;
            tollgate_jwt_key_request /_own;
            proxy_pass http://127.0.0.1:8081;
        }

        location = /_own {
            internal;
            try_files /missing.json @own;
        }

        location @own {
            error_page 502 = /good.json;
            proxy_pass http://127.0.0.1:8082;
        }

        location = /good.json { }
    }

    server {
        listen       127.0.0.1:8081;

        location /     { return 200 ENGINE; }
        location /evil { access_log %%TESTDIR%%/evil.log; return 200 '%%EVIL%%'; }
    }
}

EOF

# Whoever answers in the provider's place says yes to everything.
my $yes = $evil =~ s/^\{/{"active":true,"sub":"mallory",/r;
$conf =~ s/%%LOCATIONS%%/$locations/;
$conf =~ s/%%EVIL%%/$yes/g;
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('file.json', $yes);
$t->write_file('good.json', $good);
for (keys %ways) {
	answers("jwks-$_", body => $good, headers => ["X-Accel-Redirect: $ways{$_}"]);
	answers("ask-$_", body => { active => JSON::PP::true(), sub => 'acme' },
		headers => ["X-Accel-Redirect: $ways{$_}"]);
}
answers('ignored', body => $good, headers => ['X-Accel-Redirect: /returned', 'X-Accel-Limit-Rate: 1',
	'X-Accel-Buffering: no', 'X-Accel-Charset: koi8-r', 'Set-Cookie: a=b', 'Expires: 0']);
$t->plan(4 * keys(%ways) + 8);
$t->run();

###############################################################################

for (sort keys %ways) {
	is(status(ask("/jwt-$_/", 'evil')), 503, "keys, $_: nobody else's are taken");
	is(status(ask("/jwt-$_/", 'good')), 503, "keys, $_: nor those of such an answer");
	my $r = get("/ask-$_/", 'Authorization: Bearer opaque');
	is(status($r), 503, "introspection, $_: nobody else says yes");
	unlike($r, qr/ENGINE/, "introspection, $_: the engine isn't asked");
}

my $r = ask('/ignored/', 'good');
is(status($r), 200, 'where the operator has it ignored, the answer counts');
unlike($r, qr/Set-Cookie/i, 'its cookies are not the client\'s');
is(status(ask('/ignored/', 'evil')), 401, 'and nothing else does');
is(status(ask('/own/', 'good')), 200, 'a location may lead to another one itself');
is(status(ask('/own/', 'evil')), 401, 'with the same care');
ok(!-s $t->testdir() . '/evil.log', 'nobody else was asked');

$t->stop();
my $log = $t->read_file('error.log');
like($log, qr/no keys from "\/_jwks-returned" .*its answer has an X-Accel-Redirect/, 'the error log says so');
like($log, qr/"\/_ask-returned".*its answer has an X-Accel-Redirect/, 'for introspection, too');

###############################################################################

sub ask {
	my ($uri, $key) = @_;
	return get($uri, 'Authorization: Bearer ' . token($key, { sub => 'acme', exp => $later }));
}

###############################################################################
