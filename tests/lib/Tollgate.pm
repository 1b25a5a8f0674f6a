package Tollgate;

# What several tests need: keys files, tokens, requests with headers.
#
# A test loads it after Test::Nginx, so that "use lib" doesn't put our harness before the one that
# prove was told to use:
#
#	use Test::Nginx;
#	use FindBin;
#	use lib "$FindBin::Bin/lib";
#	use Tollgate qw/keys_file get/;

use strict;
use warnings;

use Digest::SHA qw/hmac_sha256 sha256_hex/;
use Exporter qw/import/;
use JSON::PP qw//;
use MIME::Base64 qw/encode_base64url/;
use Test::Nginx qw/http/;

our @EXPORT_OK = qw/keys_file get get_with header headers status hs256 jws json/;

# A canonical JSON text: its members are sorted.
sub json {
	my ($value) = @_;
	return JSON::PP->new->canonical->utf8->encode($value);
}

# A keys file. An entry is written as in the file, but with the key itself in place of its hash, and
# it may leave out its id.
#
#	keys_file({ key => 'acme-key', client => 'acme', tier => 'free' }, ...)
sub keys_file {
	my (@entries) = @_;
	my $number = 0;
	my @keys = map {
		my %entry = %$_;
		$entry{id} //= 'k_' . ++$number;
		$entry{hash} //= 'sha256:' . sha256_hex(delete $entry{key});
		\%entry;
	} @entries;
	return json({ version => 1, keys => \@keys });
}

# A token in compact serialisation (RFC 7515). Header and claims are JSON texts, or what json()
# takes; $sign gets the signing input, and returns the bytes of the signature.
sub jws {
	my ($header, $claims, $sign) = @_;
	my $input = join '.', map { encode_base64url(ref $_ ? json($_) : $_) } $header, $claims;
	return $input . '.' . encode_base64url($sign->($input));
}

# A token signed with HS256; further header members may follow.
sub hs256 {
	my ($secret, $claims, %header) = @_;
	return jws({ alg => 'HS256', %header }, $claims, sub { hmac_sha256($_[0], $secret) });
}

# The response to a GET with these header lines.
sub get {
	my ($uri, @lines) = @_;
	return get_with($uri, {}, @lines);
}

# The same, with options of http().
sub get_with {
	my ($uri, $options, @lines) = @_;
	return http(join("\r\n", "GET $uri HTTP/1.0", 'Host: localhost', @lines, '', ''), %$options);
}

sub status {
	my ($response) = @_;
	return (($response // '') =~ /^HTTP\/\S+ (\d{3})/)[0];
}

# The values of the header lines of that name.
sub headers {
	my ($response, $name) = @_;
	my ($head) = ($response // '') =~ /^(.*?)\r?\n\r?\n/s;
	return ($head // '') =~ /^\Q$name\E:[ \t]*(.*?)[ \t]*\r?$/mgi;
}

# The value of the only such line; undef where there is none or more than one.
sub header {
	my ($response, $name) = @_;
	my @values = headers($response, $name);
	return @values == 1 ? $values[0] : undef;
}

1;
