package admin

import (
	"time"

	"weir/telemetry/limits"
)

// Health is the body of /healthz. Times are RFC 3339.
type Health struct {
	Status  string       `json:"status"` // ok or degraded: see problems, envoy, envoys and limits
	Version string       `json:"version"`
	Ready   bool         `json:"ready"`
	Config  ConfigHealth `json:"config"`
	// Listen are the sockets for clients.
	Listen []string `json:"listen"`
	// Envoy is the process that `weir run` keeps running. Envoys are the connected ones.
	Envoy  *EnvoyProcess    `json:"envoy,omitempty"`
	Envoys []ConnectedEnvoy `json:"envoys"`
	// Ejected are the providers that are tried after all others.
	Ejected []Ejected `json:"ejected"`
	// Limits are the limits that were reached since the start.
	Limits []limits.Reached `json:"limits"`
}

// ConfigHealth is the current configuration, and what is wrong with the one that was
// read last.
type ConfigHealth struct {
	File string `json:"file"`
	// Version identifies everything but the access keys, which have their own.
	Version    string           `json:"version"`
	Since      time.Time        `json:"since"`
	AccessKeys AccessKeysHealth `json:"access_keys"`
	Problems   []string         `json:"problems,omitempty"`
	Failed     *time.Time       `json:"failed,omitempty"`
	// Warnings are those of the current configuration.
	Warnings []string `json:"warnings,omitempty"`
}

// AccessKeysHealth is the current access keys.
type AccessKeysHealth struct {
	Count   int       `json:"count"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
}

type ConnectedEnvoy struct {
	Node        string            `json:"node"`
	Version     string            `json:"version"`
	ConnectedAt time.Time         `json:"connected_at"`
	Synced      bool              `json:"synced"`
	Pending     []string          `json:"pending,omitempty"`
	Rejections  map[string]string `json:"rejections,omitempty"`
}

// EnvoyProcess is the Envoy of `weir run` in /healthz.
type EnvoyProcess struct {
	State string    `json:"state"` // starting, running, or restarting
	Since time.Time `json:"since"`
	PID   int       `json:"pid,omitempty"`
	// Deaths counts unexpected exits since the start. The fields below describe the
	// last one.
	Deaths    int        `json:"deaths"`
	LastDeath *time.Time `json:"last_death,omitempty"`
	LastError string     `json:"last_error,omitempty"`
	RestartAt *time.Time `json:"restart_at,omitempty"`
}

// Ejected is an ejected cluster, or an ejected model of it, in /healthz.
type Ejected struct {
	Provider    string    `json:"provider"`
	ProviderKey string    `json:"provider_key,omitempty"` // id of the provider's key
	Cluster     string    `json:"cluster"`                // name in Envoy
	Model       string    `json:"model,omitempty"`        // if only this model is ejected, as the provider calls it
	AccessKey   string    `json:"access_key,omitempty"`   // if it is ejected for this access key only: its name
	Cause       string    `json:"cause"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
}
