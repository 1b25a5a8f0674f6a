#!/usr/bin/perl

# "tollgate jwt verify" and the module give the same answer to the same token: 10,000 tokens, good ones
# and all that can be done to them, and other people's vectors. Status, reason and text must agree.

use warnings;
use strict;

use Test::More;

use Digest::SHA qw/ hmac_sha256 hmac_sha384 hmac_sha512 /;
use MIME::Base64 qw/ encode_base64url decode_base64url /;

use Test::Nginx qw/ :DEFAULT /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ json jws status /;
use Tollgate::Client qw/ poll request connection configtest /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $command = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $command;

use constant TOKENS => 10_000;

# The same tokens in each run, but for the time.
srand(7519);

my $t = Test::Nginx->new()->has(qw/http rewrite/)->plan(18);
my $dir = $t->testdir();
my $now = time();

###############################################################################
# Places: a configuration of the module, and the options that stand for it

my $secret = join '', map { chr } 128 .. 191;	# 64 bytes, enough for HS512
$t->write_file('secret', $secret);

my @asymmetric = qw/ES256 ES384 ES512 EdDSA RS256 RS384 RS512 PS256 PS384 PS512/;
keygen($_) for @asymmetric;
$t->write_file('jwks.json', json({ keys => [map { jwk($t, $_) } @asymmetric] }));

my %places = (
	hmac => {
		directives => 'tollgate_jwt_key_file secret;',
		options => "--keys $dir/secret",
	},
	asymmetric => {
		directives => 'tollgate_jwt_key_file jwks.json;',
		options => "--keys $dir/jwks.json",
	},
	strict => {
		directives => <<'EOF_DIRECTIVES',
            tollgate_jwt_key_file     jwks.json;
            tollgate_jwt_key_file     secret;
            tollgate_jwt_algorithms   HS256 ES256 ES512 PS256;
            tollgate_jwt_issuer       https://a.example https://b.example;
            tollgate_jwt_audience     api chat;
            tollgate_jwt_leeway       1h;
            tollgate_jwt_require_exp  off;
            tollgate_jwt_max_size     1k;
            tollgate_jwt_claim        tenant  org.unit;
EOF_DIRECTIVES
		options => "--keys $dir/jwks.json --keys $dir/secret --algorithms HS256,ES256,ES512,PS256"
			. ' --issuer https://a.example --issuer https://b.example --audience api'
			. ' --audience chat --leeway 1h --no-require-exp --max-size 1k'
			. ' --claim tenant=org.unit',
	},
	bound => {
		directives => <<'EOF_DIRECTIVES',
            tollgate_jwt_key_file       jwks.json issuer=https://a.example client_prefix=a:;
            tollgate_jwt_key_file       secret issuer=https://b.example issuer=https://c.example;
            tollgate_jwt_client_prefix  b:;
            tollgate_jwt_algorithms     HS256 ES256 RS256;
EOF_DIRECTIVES
		options => "--keys $dir/jwks.json --keys $dir/secret --algorithms HS256,ES256,RS256"
			. " --key-issuer $dir/jwks.json=https://a.example --key-client-prefix $dir/jwks.json=a:"
			. " --key-issuer $dir/secret=https://b.example --key-issuer $dir/secret=https://c.example"
			. ' --client-prefix b:',
	},
);

# A place for each of the keys of the vectors; those that can verify nothing, both should refuse.
my @vectors = vectors();
my @refused;
for my $number (0 .. $#vectors) {
	my ($name, $group) = ("vector$number", $vectors[$number]);
	$t->write_file("$name.json", json($group->{public} // $group->{private}));
	my $options = "--keys $dir/$name.json";
	my $place = { directives => "tollgate_jwt_key_file $name.json;", options => $options };
	if (system("$command jwt verify --batch $options </dev/null 2>/dev/null") == 0) {
		$places{$name} = $place;
	} else {
		push @refused, $place;
	}
}

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
    tollgate_tier  x { }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        keepalive_requests           100000;
        large_client_header_buffers  4 64k;

        tollgate               on;
        tollgate_auth          jwt;
        tollgate_jwt_key_file  secret;
        tollgate_default_tier  free;
        tollgate_audit_log     audit.log buffer=64k flush=100ms;

        PLACES
    }
}

EOF

$t->write_file('empty', '');
$t->write_file_expand('nginx.conf', conf_of(\%places));

###############################################################################
# What can be done to a token

# To the claims, so that it stays good...
my @good_claims = (
	sub { $_[0]{jti} = rand },
	sub { $_[0]{tier} = 'free' },
	sub { $_[0]{scope} = any('', 'chat', 'chat embeddings', ['chat'], []) },
	sub { $_[0]{rate_limit} = 1 + int rand 4294967295 },
	sub { $_[0]{nbf} = $now - int rand 100_000 },
	sub { $_[0]{iat} = $now - int rand 100_000 },
	sub { $_[0]{aud} = ['x', 'api'] },
	sub { $_[0]{iss} = 'https://b.example' },
	sub { $_[0]{org} = { unit => 'u-' . int rand 9 } },
	sub { $_[0]{sub} = "\x{e9}\x{4e2d}\x{1f6aa}" },
	sub { $_[0]{sub} = 'a' x 256 },
	sub { $_[0]{'x' x (1 + rand 30)} = [1, { a => undef }, 'b'] },
	sub { $_[0]{exp} = $now + 3600 + int rand 100_000 },
	sub { $_[0]{exp} = 9007199254740992 },
);
# ... and so that it mostly doesn't. No time is closer to a limit than the test is long.
my @other_claims = (
	sub { delete $_[0]{sub} },
	sub { delete $_[0]{exp} },
	sub { delete $_[0]{iss} },
	sub { delete $_[0]{aud} },
	sub { $_[0]{iss} = any('https://c.example', 'HTTPS://A.EXAMPLE', '', any_value()) },
	sub { $_[0]{aud} = any('x', [], ['x', 'y'], ['api', 7], 'api chat', any_value()) },
	sub { $_[0]{sub} = any('', ' a', 'a ', "a\nb", "a\0", 'a' x 257, any_value()) },
	sub { $_[0]{tier} = any('', ' ', any_value()) },
	sub { $_[0]{rate_limit} = any(0, -1, 1.5, '100', 4294967296, any_value()) },
	sub { $_[0]{scope} = any("a\tb", [''], ['a', undef], any_value()) },
	sub { $_[0]{org} = any('x', { unit => any_value() }, { unit => { a => 1 } }, any_value()) },
	sub { $_[0]{any(qw/exp nbf iat/)} = any_value() },
	sub { $_[0]{exp} = $now - any(60, 1800, 7200, 1_000_000_000) },
	sub { $_[0]{any(qw/nbf iat/)} = $now + any(1800, 7200, 100_000) },
	sub { $_[0]{any(qw/exp nbf iat/)} = any(1e300, -1, 0, 9007199254740993, $now + 7200.5) },
);
# To the header.
my @good_headers = (
	sub { $_[0]{typ} = any(qw!JWT jwt at+jwt AT+JWT application/jwt!) },
	sub { $_[0]{any(qw/x5t x5c jku x5u jwk/)} = any('x', any_value()) },
	sub { $_[0]{kid} = any('unknown', '../../dev/null', '') },
	sub { $_[0]{cty} = any_value() },
);
my @other_headers = (
	sub { $_[0]{alg} = any(qw/none None hs256 HS512 RS256 ES256 ES256K EdDSA/, '', any_value()) },
	sub { delete $_[0]{alg} },
	sub { $_[0]{typ} = any('dpop+jwt', 'JWE', '', 'jwt ', any_value()) },
	sub { $_[0]{kid} = any(@asymmetric, any_value()) },
	sub { $_[0]{any(qw/crit b64 zip enc/)} = any(['exp'], 'x', any_value()) },
);
# To the text of either, before it is signed.
my @good_texts = (
	sub { $_[0] =~ s/([:,{}])(?=["{}])/$1 /gr },
	sub { " \t$_[0]\r\n " },
	sub { $_[0] =~ s/"alg"/"\\u0061lg"/r =~ s/"sub"/"\\u0073ub"/r },
);
my @other_texts = (
	sub { $_[0] =~ s/^\{/{"sub":"other",/r },
	sub { $_[0] =~ s/^\{/{"alg":"none",/r },
	sub { $_[0] =~ s/^\{/{"\\u0073ub":"other",/r },
	sub { $_[0] =~ s/^\{/{"x":{"y":1,"y":2},/r },
	sub { $_[0] =~ s/\}$/,}/r },
	sub { $_[0] =~ s/\}$//r },
	sub { "[$_[0]]" },
	sub { $_[0] . any('x', '{}', "\0", "\xff") },
	sub { $_[0] =~ s/"([a-z])/"\xff$1/r },
	sub { $_[0] =~ s/"([a-z])/"\\ud800$1/r },
	sub { $_[0] =~ s/^\{/{"x":1e999,/r },
	sub { $_[0] =~ s/^\{/'{"x":' . '[' x 200 . ']' x 200 . ','/er },
	sub { "\xef\xbb\xbf$_[0]" },
	sub { any('', '{', 'null', '"x"', '[]', '{}', '1') },
);
# To a whole token, whose signature is then wrong, or stands for something else.
my @token_changes = (
	(sub { flip_bit($_[0]) }) x 6,
	(sub { change($_[0], 1, any_char()) }) x 2,
	sub { change($_[0], 0, any_char()) },
	sub { change($_[0], 1, '') },
	sub { change($_[0], 1, any("\n", "\r", "\0")) },
	sub { substr $_[0], 0, any_index($_[0]) },
	sub { substr $_[0], any_index($_[0]) },
	sub { $_[0] . any('=', '==', '.', '..', 'A', '.a.b', ' x', "\tx", "\x80") },
	sub { any('.', 'A', '"', 'Bearer ') . $_[0] },
	sub { join '.', (split /\./, $_[0])[@{ any([1, 0, 2], [0, 2, 1], [2, 1, 0]) }] },
	sub { my @parts = split /\./, $_[0]; $parts[rand 3] = ''; join '.', @parts },
	sub { my @parts = split /\./, $_[0]; $parts[rand 3] .= '='; join '.', @parts },
	sub { join '.', map { $_ . '=' x (-length($_) % 4) } split /\./, $_[0] },
	sub { $_[0] =~ tr!-_!+/!r },
	sub { uc $_[0] },
	sub { $_[0] =~ s/^[^.]+/encode_base64url('{"alg":"none"}')/er },
	sub { $_[0] =~ s/^[^.]+/encode_base64url('{"alg":"HS256","kid":"ES256"}')/er },
	sub { $_[0] =~ s/[^.]*$//r },
	sub { change_end($_[0]) },
	sub { $_[0] =~ s/\.([^.]*)/'.' . encode_base64url(decode_base64url($1) . ' ')/er },
	sub { $_[0] =~ s/[^.]*$/(split m!\.!, made())[2]/er },
	sub { $_[0] . 'x' x any(900, 20_000) },
	sub { any('.', '..', 'x', 'tg_0123456789', 'a.b.c', '{"payload":""}', "\xff" x 40) },
);

my @issued = map { my $algorithm = $_; map { issued($algorithm, $_) } 1 .. 8 } @asymmetric;
my @cases;
my $left_out = 0;
for (1 .. TOKENS) {
	my $place = any(qw/hmac hmac strict asymmetric bound/);
	my $token = token($place);
	if (can_be_sent($token)) {
		push @cases, [$place, $token];
	} else {
		$left_out++;
	}
}

$t->run();

###############################################################################

my ($asked, $judged) = (ask($t, 't', @cases), judge($t, @cases));
is(@cases + $left_out, TOKENS, 'tokens that were made');
cmp_ok($left_out, '<', TOKENS / 20, "too few to matter cannot be sent: $left_out");
is(@$asked, @cases, 'tokens that were sent');
agree($asked, $judged, 'mutated');

my @good = grep { $_->{status} eq '200' } @$asked;
cmp_ok(scalar @good, '>=', TOKENS / 5, 'of them are good: ' . @good);
for my $place (qw/hmac asymmetric strict/) {
	my @there = grep { $cases[$_][0] eq $place } 0 .. $#cases;
	my $good = grep { $asked->[$_]{status} eq '200' } @there;
	ok($good >= 200 && @there - $good >= 200, "$place: $good of " . @there . ' are good');
}
my %reasons = map { ($_->{reason} // '') => 1 } @$asked;
is(join(' ', sort keys %reasons), ' expired_credential invalid_token not_yet_valid', 'reasons');
my %texts = map { ($_->{text} // '') => 1 } @$asked;
cmp_ok(scalar keys %texts, '>=', 30, 'texts: ' . keys %texts);

SKIP: {
	skip 'no vectors', 6 unless @vectors;
	my @cases;
	for my $number (grep { $places{"vector$_"} } 0 .. $#vectors) {
		for my $test (@{ $vectors[$number]{tests} }) {
			# JSON serialisation is an object here.
			my $token = ref $test->{jws} ? json($test->{jws}) : $test->{jws};
			utf8::encode($token);
			push @cases, ["vector$number", $token] if can_be_sent($token);
		}
	}
	my ($asked, $judged) = (ask($t, 'v', @cases), judge($t, @cases));
	agree($asked, $judged, 'vectors');
	cmp_ok(scalar @cases, '>=', 380, 'vectors: ' . @cases);
	# Their payloads are no claims: the text tells that the signature was good. 40 of 46 that are called
	# valid, and two that are the same as one of these: see crates/tollgate-core/tests/jwt_vectors.rs.
	my $signed = grep { ($_->{text} // '') =~ /^the payload is no JSON|^claim / } @$asked;
	is($signed, 42, 'vectors with a good signature');

	my @accepted = grep { (configtest($t, conf_of({ refused => $_ })))[0] == 0 } @refused;
	is(@accepted, 0, 'keys that verify nothing, refused by both: ' . @refused);
}

###############################################################################
# Making tokens

sub any {
	return $_[rand @_];
}

sub any_value {
	return any(undef, 0, 7, 'x', JSON::PP::true(), JSON::PP::false(), [], [1], {}, { a => 1 });
}

sub any_index {
	my ($text) = @_;
	return int rand length $text;
}

sub any_char {
	return any('A' .. 'Z', 'a' .. 'z', 0 .. 9, qw!- _ . + / =!, ' ', "\x7f", "\xe9");
}

sub change {
	my ($token, $length, $replacement) = @_;
	substr $token, any_index($token), $length, $replacement;
	return $token;
}

sub flip_bit {
	my ($token) = @_;
	my $index = any_index($token);
	substr $token, $index, 1, chr(ord(substr $token, $index, 1) ^ 1 << rand 8);
	return $token;
}

# Another character at the end: it may stand for the same bytes, and is refused all the same.
sub change_end {
	my ($token) = @_;
	return substr($token, 0, -1) . any('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');
}

# One for this place: perhaps good, perhaps not.
sub token {
	my ($place) = @_;
	my $is_issued = $place eq 'asymmetric' || ($place =~ /strict|bound/ && rand() < 0.5);
	my $token = $is_issued ? any(@issued) : made();
	return rand() < ($is_issued ? 0.6 : 0.3) ? any(@token_changes)->($token) : $token;
}

# Signed by us with the secret, whatever it says.
sub made {
	my %header = (alg => any(qw/HS256 HS256 HS384 HS512/));
	my %claims = (
		sub => 'acme', exp => $now + 100_000, iss => 'https://a.example', aud => 'api',
		jti => int rand 1e9,
	);
	my $sign = {
		HS256 => \&hmac_sha256, HS384 => \&hmac_sha384, HS512 => \&hmac_sha512,
	}->{ $header{alg} };
	any(@good_claims)->(\%claims) if rand() < 0.6;
	any(@good_headers)->(\%header) if rand() < 0.4;
	my $wrong = rand() < 0.55 ? 'nothing' : any(qw/claims claims header text/);
	any(@other_claims)->(\%claims) if $wrong eq 'claims';
	any(@other_headers)->(\%header) if $wrong eq 'header';
	my @texts = map { rand() < 0.2 ? any(@good_texts)->($_) : $_ } map { json($_) } \%header, \%claims;
	if ($wrong eq 'text') {
		my $index = rand 2;
		$texts[$index] = any(@other_texts)->($texts[$index]);
	}
	return jws(@texts, sub { $sign->($_[0], $secret) });
}

# Whether it reaches the module as it is: a header line ends at some bytes, and is trimmed.
sub can_be_sent {
	my ($token) = @_;
	return $token !~ /[\0\r\n]|^ | \z/ && length $token;
}

sub keygen {
	my ($algorithm) = @_;
	my $made = system $command, qw/jwt keygen --alg/, $algorithm, '--kid', $algorithm,
		'--out', "$dir/$algorithm.pem", '--jwks', "$dir/$algorithm.json";
	die "Can't make a key for $algorithm\n" if $made != 0;
}

sub jwk {
	my ($t, $algorithm) = @_;
	return JSON::PP->new->utf8->decode($t->read_file("$algorithm.json"))->{keys}[0];
}

sub issued {
	my ($algorithm, $number) = @_;
	my $kid = $number % 2 ? "--kid $algorithm" : '';
	my $audience = $number % 3 ? 'api' : 'other';
	my $token = `$command jwt issue --key $dir/$algorithm.pem --alg $algorithm --client acme $kid \\
		--issuer https://a.example --audience $audience --expires 1d --jti $number`;
	chomp $token;
	return $token;
}

# Groups of tests, each with a key of its own.
sub vectors {
	my $folder = $ENV{TOLLGATE_VECTORS} // "$FindBin::Bin/../../shared/vectors";
	open my $file, '<', "$folder/wycheproof/json_web_signature_test.json" or return;
	local $/;
	return @{ JSON::PP->new->utf8->decode(scalar <$file>)->{testGroups} };
}

###############################################################################
# Judging them

sub conf_of {
	my ($places) = @_;
	my $text = join '', map { <<"EOF_LOCATION" } sort keys %$places;
        location /$_ {
            $places->{$_}{directives}
            root       $dir;
            try_files  /empty =404;
        }
EOF_LOCATION
	return $conf =~ s/PLACES/$text/r;
}

# What the module says of each: over one connection, and so in one worker and in this order.
sub ask {
	my ($t, $prefix, @cases) = @_;
	my $before = () = refusals($t);
	my $connection = connection();
	my @answers;
	for (my $start = 0; $start < @cases; $start += 16) {
		my $end = $start + 15 < @cases ? $start + 15 : $#cases;
		$connection->send(join '', map {
			my ($place, $token) = @{ $cases[$_] };
			request("/$place", "Authorization: Bearer $token", "X-Request-ID: $prefix$_");
		} $start .. $end);
		push @answers, { status => status($connection->answer()) // 'none' } for $start .. $end;
	}
	$connection->close();

	my %reasons;
	poll {
		# A regular expression, as JSON::PP takes a millisecond for a line.
		for my $line (split /\n/, $t->read_file('audit.log')) {
			my ($id) = $line =~ /"request_id":"(\w+)"/;
			my ($reason) = $line =~ /"reason":"(\w+)"/;
			$reasons{$id // ''} = $reason // '';
		}
		@cases == grep { defined $reasons{"$prefix$_"} } 0 .. $#cases;
	};
	my @refusals = refusals($t);
	splice @refusals, 0, $before;
	for my $number (0 .. $#answers) {
		my $answer = $answers[$number];
		$answer->{reason} = $reasons{"$prefix$number"};
		$answer->{text} = shift @refusals if $answer->{status} eq '401';
	}
	return \@answers;
}

sub refusals {
	my ($t) = @_;
	return $t->read_file('error.log') =~ /tollgate: request refused: (?:invalid_token|expired_credential|not_yet_valid) \(\w+\): (.*?), client: /g;
}

# What the command says of each.
sub judge {
	my ($t, @cases) = @_;
	my @answers;
	my %by_place;
	push @{ $by_place{ $cases[$_][0] } }, $_ for 0 .. $#cases;
	for my $place (keys %by_place) {
		my @numbers = @{ $by_place{$place} };
		$t->write_file('batch', join '', map { "$cases[$_][1]\n" } @numbers);
		my @lines = `$command jwt verify --batch $places{$place}{options} <$dir/batch`;
		chomp @lines;
		die "Not a line for each token\n" if @lines != @numbers;
		for my $number (@numbers) {
			my $line = shift @lines;
			$answers[$number] = $line =~ /^no (\w+): (.*)$/
				? { status => '401', reason => $1, text => $2 }
				: { status => $line =~ /^ok / ? '200' : $line, reason => '' };
		}
	}
	return \@answers;
}

# Three tests: status, reason and text. Shows the first few that differ.
sub agree {
	my ($asked, $judged, $what) = @_;
	for my $field (qw/status reason text/) {
		my @differ = grep {
			($asked->[$_]{$field} // '') ne ($judged->[$_]{$field} // '')
		} 0 .. $#$asked;
		my @shown = map {
			my ($module, $command) = map { $_->{$field} // 'nothing' } $asked->[$_], $judged->[$_];
			"number $_: module $module, command $command";
		} splice @differ, 0, 5;
		is(join("\n", @shown), '', "$what: $field");
	}
}

###############################################################################
